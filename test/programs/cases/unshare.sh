# unshare, nsenter: namespaces of every kind, by a user without rights too
# needs: unshare nsenter ps ip su
# platforms: ptrace (on an emulated ring 0 it is slow: by hand, with this line taken out)
# timeout: 60
names() { sed -E 's/[0-9]{4,}/N/g'; }
unshare -Urpf --mount-proc sh -c 'ps -o pid,args; id -u; cat /proc/self/uid_map; echo $$; grep ^CapEff /proc/self/status'
unshare -pf sh -c 'echo $$; kill -KILL $$; echo alive; exit 3'
echo $?
unshare -U id
su nobody -s /bin/sh -c 'unshare -Ur sh -c "id -u; mount -t tmpfs x /mnt" 2>/dev/null; echo $?'
su nobody -s /bin/sh -c 'unshare -Urm sh -c "mount -t tmpfs x /mnt && touch /mnt/a && ls /mnt"; ls /mnt | wc -l'
su nobody -s /bin/sh -c 'unshare -Uru sh -c "hostname inner; hostname"; unshare -m true 2>/dev/null; echo $?'
unshare -n sh -c 'ip -o link | cut -d" " -f2-4; ip link set lo up; ip -o -4 addr | wc -l'
unshare -i sh -c 'ipcmk -Q >/dev/null; ipcs -q | grep -c 0x'
unshare -u sh -c 'hostname theirs; sleep 30 & echo $!; wait' >/tmp/pid.$$ &
while ! [ -s /tmp/pid.$$ ]; do sleep 0.01; done
nsenter -t "$(cat /tmp/pid.$$)" -u hostname
kill "$(cat /tmp/pid.$$)"
wait
rm /tmp/pid.$$
unshare -pf --kill-child sh -c 'sleep 1000 & sleep 1000 & echo x'
ls -l /proc/self/ns | awk 'NR > 1 { print $9, $11 }' | names
