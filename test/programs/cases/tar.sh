# size: DIR=/usr/include
# size-kvm: DIR=/usr/include/asm-generic
# timeout: 120
cd / && tar --sort=name -c .$DIR | gzip -n | sha256sum
mkdir -p $T && tar -c .$DIR | tar -x -C $T && find $T/$DIR -type f | wc -l
