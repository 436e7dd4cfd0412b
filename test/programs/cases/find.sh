# platforms: ptrace (on an emulated ring 0 it is slow: by hand, with this line taken out)
# size: DIR=/usr/share
# size-kvm: DIR=/usr/share/doc/a*
# timeout: 120
find $DIR | wc -l
find $DIR -type f -name 'c*' | sort | sha256sum
