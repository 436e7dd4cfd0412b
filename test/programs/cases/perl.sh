# needs: perl
mkdir -p $T
exec perl -e '
use strict; use POSIX qw(:sys_wait_h); use Socket; use IO::Handle; use File::Temp;
my %h = map { $_ => $_ ** 2 } 1 .. 10; print join(",", map { "$_=$h{$_}" } sort { $a <=> $b } keys %h), "\n";
my $pid = fork; if (!$pid) { exit 5 } waitpid $pid, 0; print WEXITSTATUS($?), "\n";
open my $p, "-|", "echo from pipe" or die; print <$p>; close $p;
local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select undef, undef, undef, 3;
socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0); $a->autoflush(1); print $a "line\n"; print scalar <$b>;
opendir my $d, "/etc" or die; my @f = grep { /^pass/ } readdir $d; print join(" ", sort @f), "\n";
print "sorted\n" if join("", sort split //, "perl") eq "elpr"; print `sh -c "exit 6"`, $? >> 8, "\n";
my $t = File::Temp->new(DIR => $ENV{T}); print $t "x" x 10; $t->flush; print -s "$t", "\n";'
