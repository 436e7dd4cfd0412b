# needs: dash
mkdir -p $T
exec dash -c '
set -e
f() { echo "f $1"; return 4; }
f x || echo "returned $?"
i=0; while [ $i -lt 50 ]; do i=$((i + 1)); done; echo $i
echo a > $T/a; echo b >> $T/a; cat < $T/a | wc -l
( trap "echo exit trap" EXIT; exit 7 ) || echo "status $?"
sh -c "kill -TERM \$\$" || echo "killed: $?"
for s in HUP INT QUIT; do trap "echo got $s" $s; kill -$s $$; done
{ sleep 0.05; echo later; } & echo now; wait
test -p /dev/stdin || true
cat <<-END | sed s/x/y/
	x tab
END
echo $(( 0x10 + 010 )) $(printf %05d 42)
'
