# needs: sqlite3
# size: N=100000
# size-kvm: N=2000
# timeout: 120
mkdir -p $T && cd $T
{ echo 'pragma journal_mode=wal; create table t(a integer primary key, b text); begin;'
  seq 1 $N | awk '{ print "insert into t values(" $1 ", \"row " $1 "\");" }'
  echo 'commit; select count(*), sum(a), max(b) from t; create index i on t(b); select a from t where b = "row 77"; pragma integrity_check;'
} | sqlite3 db
ls -l db | awk '{ print $5 > 100000 }'
