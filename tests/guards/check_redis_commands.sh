#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is asked of Redis is what version 6.0 knows: every command of the scripts and of the C files
# is in the table of docs/redis.md, with a version up to 6.0, and no other is; options that came
# later are not used; rights.lua tries each command of the scripts, and the ACLs of documents allow
# each.
set -u

srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$srcdir" || exit 1

# shellcheck disable=SC2016
exec perl -e '
use strict;
use warnings;
my ($bad, %used, %script, %tried, %table) = (0);

sub complain { print "check_redis_commands: ", @_, "\n"; $bad = 1 }
sub slurp { local $/; open my $file, "<", $_[0] or die "$_[0]: $!\n"; return scalar <$file> }

# Options that came after 6.0, by command.
my %newer = (SET => qr/\x27(?:GET|EXAT|PXAT|IFEQ)\x27/i, ZADD => qr/\x27(?:GT|LT)\x27/i,
    ZRANGE => qr/\x27(?:BYSCORE|BYLEX|REV|LIMIT)\x27/i, PEXPIRE => qr/\x27(?:NX|XX|GT|LT)\x27/i);

for my $file (glob "policy/store/*.lua") {
    my $text = slurp($file);
    complain("$file: a script with flags needs Redis 7") if $text =~ /^#!/;
    complain("$file: $1")
        if $text =~ /((?:server\.|redis\.(?!p?call\b|error_reply\b|status_reply\b))\w+)/;
    while ($text =~ /\b(?:redis\.p?call|try)\(([^,)\s]*)([^\n]*)/g) {
        my ($first, $rest) = ($1, $2);
        pos($text) -= length($rest); # which may have further calls
        my $name = $first =~ /^\x27([A-Z]+)\x27$/ ? $1 : "";
        if (!$name) {
            complain("$file: a command without a name: $first")
                unless $file =~ /rights\.lua$/ && $first eq "name";
            next;
        }
        ($file =~ /rights\.lua$/ ? \%tried : \%script)->{$name} //= $file;
        $used{$name} //= $file;
        complain("$file: $name with an option that is newer than Redis 6.0")
            if $newer{$name} && $rest =~ $newer{$name};
    }
}
for my $file (glob "policy/store/redis_*.c policy/store/store_redis*.c") {
    my $text = slurp($file);
    while ($text =~ /argv(?:\[\d*\])?(?:\[0\])? = \{?"([A-Z]+)"(?:, "([A-Za-z-]+)")?/g) {
        $used{$1 . (defined $2 ? " " . uc $2 : "")} //= $file;
    }
}
my $document = slurp("docs/redis.md");
my $row = qr/^\| `([A-Z][A-Z -]*[A-Z])`(?:[^|]*)\| (\d+)\.(\d+)[\d.]* \|/m;
while ($document =~ /$row/g) {
    $table{$1} = 1;
    complain("docs/redis.md: $1 came with $2.$3, after 6.0") if $2 > 6 || ($2 == 6 && $3 > 0);
}
for (sort keys %used) {
    complain("$used{$_}: $_ is not in the table of docs/redis.md") unless $table{$_};
}
for (sort keys %table) { complain("docs/redis.md: $_ is asked by nobody") unless $used{$_} }
for (sort keys %script) { complain("$script{$_}: rights.lua does not try $_") unless $tried{$_} }
for my $file ("docs/redis.md", "conf-examples/redis.conf") {
    my $text = slurp($file);
    for (sort keys %script) {
        complain("$file: the user may not run $_") unless $text =~ /\+\L$_\E\b/;
    }
}
complain("found too little: the patterns are out of date") if keys %script < 15 || keys %used < 25;
print "check_redis_commands: ", scalar(keys %used), " commands\n";
exit $bad;
'
