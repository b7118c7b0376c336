#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A link of README.md or docs/*.md that stays in the tree leads to a file, and to a heading in it.
set -u

srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$srcdir" || exit 1

# shellcheck disable=SC2016
exec perl -e '
use strict;
use warnings;
my ($bad, $links, %anchors) = (0, 0);

sub complain { print "check_links: @_\n"; $bad = 1 }
sub slurp { local $/; open my $file, "<:utf8", $_[0] or die "$_[0]: $!\n"; return scalar <$file> }

# The text without blocks of code, in which brackets mean something else.
sub prose { my $text = slurp($_[0]); $text =~ s/^```.*?^```//msg; $text =~ s/`[^`\n]*`//g; $text }

# Whether the page has a heading of that name, spelled as in a link.
sub has_heading {
    my ($file, $name) = @_;
    $anchors{$file} //= { map { my $h = lc; $h =~ s/[^\w\- ]//g; $h =~ s/ /-/g; ($h, 1) }
                          slurp($file) =~ /^#+ (.*?)\s*$/mg };
    return $anchors{$file}{$name};
}

for my $file ("README.md", "CONTRIBUTING.md", "SECURITY.md", glob "docs/*.md docs/backends/*.md") {
    my ($folder) = $file =~ m{^(.*/)};
    for my $target (prose($file) =~ /\]\(([^()\s]+)\)/g) {
        next if $target =~ /^[a-z]+:/;
        my ($path, $heading) = split /#/, $target, 2;
        my $there = $path eq "" ? $file : ($folder // "") . $path;
        1 while $there =~ s{[^/]+/\.\./}{};
        $links++;
        if (!-e $there) { complain("$file: $target is not there") }
        elsif (defined $heading && !has_heading($there, $heading)) {
            complain("$file: $there has no heading #$heading");
        }
    }
}
complain("only $links links") if $links < 20;
print "check_links: $links links\n";
exit $bad;
'
