# size: N=100000 JOBS=40
# size-kvm: N=1000 JOBS=12
mkdir -p $T
seq 1 $N | sort -R --random-source=/etc/passwd 2>/dev/null | sort -n | tail -1
seq 1 $N | awk '{ s += $1 % 7 } END { print s }'
seq 1 $N | sed -n 's/9$/nine/p' | wc -l
seq 1 $JOBS | xargs -P4 -n1 sh -c 'echo $0' | sort -n | xargs echo
seq 1 $N > $T/s; cut -c1 $T/s | sort | uniq -c | sort -rn | head -3
head -c 100000 /dev/zero | tr '\0' 'x' | wc -c
grep -c 7 $T/s; wc -l < $T/s; cmp $T/s $T/s && echo same
