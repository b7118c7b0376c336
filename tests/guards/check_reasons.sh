#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/troubleshooting.md knows each reason of a refusal that the sources give, and no other; and
# the log tags that the documents cite exist.
set -u

srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$srcdir" || exit 1

# shellcheck disable=SC2016,SC2046
exec perl -e '
use strict;
use warnings;
my ($bad, %text, %where, %everywhere, %at_home, %columns, %tags) = (0);
my $word = qr/[a-z][a-z0-9]*(?:-[a-z0-9]+)*/;
my $string = qr/"(?:[^"\\]|\\.)*"/;
my $nested;
$nested = qr/(?:[^()"]|$string|\((??{$nested})\))*/;

sub complain { print "check_reasons: ", @_, "\n"; $bad = 1 }
sub slurp { local $/; open my $file, "<", $_[0] or die "$_[0]: $!\n"; return scalar <$file> }

# What stands between the commas outside of strings and brackets.
sub split_list {
    my ($depth, @parts) = (0, "");
    for my $token ($_[0] =~ /$string|\x27(?:[^\x27\\]|\\.)*\x27|./gs) {
        $depth++ if $token =~ /^[({\[]$/;
        $depth-- if $token =~ /^[)}\]]$/;
        if ($token eq "," && !$depth) { push @parts, "" } else { $parts[-1] .= $token }
    }
    return @parts;
}

# Remembers each word that is a whole string of the text.
sub take { my ($text, $file) = @_; $where{$1} //= $file while $text =~ /"($word)"/g }

for my $file (@ARGV) {
    $text{$file} = slurp($file);
    $text{$file} =~ s{/\*.*?\*/}{}gs;
    $tags{$1} = 1 while $text{$file} =~ /SCEPTAG\(\s*(\d+)\s*\)/g;
}

# Functions that take a reason, by the place of their argument; static ones are known at home only.
for my $file (keys %text) {
    while ($text{$file} =~ /(static\s[\w\s\*]*?)?\b(\w+)
                            \(([^;{}()]*\*reason\b[^;{}()]*)\)\s*[;{_]/gx) {
        my ($static, $name, @arguments) = ($1, $2, split_list($3));
        my ($place) = grep { $arguments[$_] =~ /\*reason\s*$/ } 0 .. $#arguments;
        next unless defined $place;
        if ($static && $file =~ /c$/) { $at_home{$file}{$name} = $place }
        else { $everywhere{$name} = $place }
    }
    # and structures with a reason, whose tables have it in one column
    while ($text{$file} =~ /struct\s*\w*\s*\{([^{}]*\*reason;[^{}]*)\}\s*(\w+);/g) {
        my ($type, @members) = ($2, split /;/, $1);
        my ($last) = grep { $members[$_] =~ /\*reason$/ } 0 .. $#members;
        $columns{$type} = grep { /\S/ } @members[0 .. $last - 1];
    }
}

for my $file (keys %text) {
    my %places = (%everywhere, %{$at_home{$file} // {}});
    while ($text{$file} =~ /\b(\w+)\(/g) {
        my ($name, $after) = ($1, substr $text{$file}, pos $text{$file});
        next unless exists $places{$name} && $after =~ /^($nested)\)/;
        take((split_list($1))[$places{$name}] // "", $file);
    }
    while ($text{$file} =~ /(?:->|\.|\*)reason\s*=([^=;][^;]*);/g) {
        my $value = $1;
        1 while $value =~ s/\w+\([^()]*\)//;
        take($value, $file);
    }
    $where{$1} //= $file while $text{$file} =~ /\breason=\x27($word)\x27/g;      # SQL
    while ($text{$file} =~ /\b(\w+) \w+\[\w*\]\s*=\s*\{(.*?)\};/gs) {
        my ($type, $rows) = ($1, $2);
        next unless exists $columns{$type};
        while ($rows =~ /\{((?:[^{}"]|$string)*)\}/gs) {
            take((split_list($1))[$columns{$type}] // "", $file);
        }
    }
}
complain("found only ", scalar keys %where, " reasons in the sources") if keys %where < 80;

my ($document, %told) = ("docs/troubleshooting.md");
my ($table) = slurp($document) =~ /^(\| Reason \|.*(?:\n\|.*)*)/m;
for (split /\n/, $table // "") {
    my ($cell) = /^\|([^|]*)\|/;
    $told{$_}++ and complain("$document has $_ twice") for $cell =~ /`([^`]+)`/g;
}
for (sort keys %where) {
    complain("$_ of $where{$_} is not in the table of reasons of $document: add it with answer, ",
             "meaning and cure") unless $told{$_};
}
for (sort keys %told) {
    complain("$_ is in the table of reasons of $document, and no source gives it: take it out")
        unless $where{$_};
}

for my $file ("README.md", glob "docs/*.md") {
    my $page = slurp($file);
    while ($page =~ /\bSCEP(\d{4})\b/g) {
        complain("$file cites SCEP$1, which nothing logs") unless $tags{$1};
    }
}
print "check_reasons: ", scalar keys %where, " reasons\n";
exit $bad;
' $(find common policy ca_backend mod_scep -name '*.[ch]' -not -path common/log.h)
