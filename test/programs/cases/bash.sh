# needs: bash
mkdir -p $T
exec bash -c '
set -o pipefail
declare -A m=([a]=1 [b]=2); echo "${!m[@]}" | tr " " "\n" | sort | xargs
arr=(x y z); echo "${arr[@]:1}" "${#arr[@]}"
diff <(seq 1 5) <(seq 2 6); echo "diff $?"
while read -r l; do echo "[$l]"; done < <(printf "1\n2\n")
false | true; echo "pipefail $?"
coproc cat; echo hi >&${COPROC[1]}; read -r r <&${COPROC[0]}; echo "$r"
time_t=$EPOCHSECONDS; [ "$time_t" -gt 1700000000 ] && echo clock
exec 3>$T/f; echo via3 >&3; exec 3>&-; cat $T/f
for i in {1..5}; do (exit $i) & p[i]=$!; done; for i in {1..5}; do wait ${p[i]}; echo -n "$? "; done; echo
ulimit -n 100; ulimit -n
[[ abc =~ b(.) ]] && echo "${BASH_REMATCH[1]}"
printf "%s\n" "${BASH_VERSION%%.*}"
kill -l 9
'
