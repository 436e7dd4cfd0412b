# needs: git
mkdir -p $T/repo && cd $T/repo && export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
git init -q -b main . && git config user.name n && git config user.email e@x
for i in 1 2 3; do echo $i > f$i; git add f$i; git commit -q -m "commit $i"; done
git log --format='%H %s' && git status --short && git diff HEAD~1 --stat && git gc -q && git fsck
