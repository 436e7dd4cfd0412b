# needs: busybox
exec busybox sh -c '
echo one two three | tr " " "\n" | sort -r | head -2
(cd /usr && pwd; exit 3); echo "subshell: $?"
x=$(for i in 1 2 3 4 5; do echo $i; done | busybox awk "{ s += \$1 } END { print s }"); echo "sum $x"
trap "echo trapped" USR1; kill -USR1 $$
sleep 0.1 & wait $!; echo "background: $?"
cat <<END
here $x document
END
false | true; echo "pipe: $?"
busybox seq 1 1000 | busybox md5sum
mkdir -p $T/d && echo text > $T/d/f && cat $T/d/f && rm -r $T/d && ls $T
'
