# size: DIR=/usr/share
# size-kvm: DIR=/usr/share/doc/a*
# timeout: 120
find $DIR | wc -l
find $DIR -type f -name 'c*' | sort | sha256sum
