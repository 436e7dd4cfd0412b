# needs: stress-ng
# timeout: 120
# size: LOAD=2 SECONDS_=5
# size-kvm: LOAD=1 SECONDS_=2
mkdir -p $T && cd $T && stress-ng --cpu $LOAD --vm $LOAD --vm-bytes 16m --pipe $LOAD --fork $LOAD --futex $LOAD --signal $LOAD -t $SECONDS_ --verify >$T/log 2>&1 || { cat $T/log; exit 1; }
echo passed
