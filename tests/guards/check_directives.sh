#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A directive's default is the same wherever it is told: the preset in the code, the help text of
# httpd -L, conf-examples/reference.conf and README's table.  (That each directive is in all of them
# is check_conf_reference.sh's.)  And reference.conf has each key=value that a policy, a CA backend
# or a template takes.
set -u

srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$srcdir" || exit 1

# shellcheck disable=SC2016
exec perl -e '
use strict;
use warnings;
my ($bad, $checked) = (0, 0);

sub complain { print "check_directives: @_\n"; $bad = 1 }
sub slurp { local $/; open my $file, "<", $_[0] or die "$_[0]: $!\n"; return scalar <$file> }

# A default in figures: 60min, 64k, on; undef for words.
sub figures {
    my ($text) = @_;
    return $text eq "on" ? 1 : 0 if $text =~ /^(on|off)$/;
    my %unit = ("" => 1, k => 1024, m => 1048576, s => 1e6, min => 6e7, h => 36e8, d => 864e8);
    return $text =~ /^(\d+)(k|m|s|min|h|d)?$/ ? $1 * $unit{$2 // ""} : undef;
}

my $config = slurp("mod_scep/mod_scep_config.c");
my (%preset, %range, %reference, %readme);
for (slurp("mod_scep/mod_scep_config.h") =~ /^ +X\(apr_int64_t, (\w+, SCEP_UNSET, .*)\)\s*\\?$/mg) {
    my ($member, $value) = /^(\w+), SCEP_UNSET, (.*)$/;
    $preset{$member} = $1 * 1e6 * ($2 // 1)
        if $value =~ /^apr_time_from_sec\((\d+)(?: \* (\d+))?\)$/;
    $preset{$member} = $value if $value =~ /^\d+$/;
}
$range{$1} = $2 while $config =~ /^RANGE\((\w+),\s*(\w+)/mg;
for (split /\n/, slurp("conf-examples/reference.conf")) {
    $reference{$1} //= $2 if /^#(Scep\w+) (.*?)\s*$/;
}
for (split /\n/, slurp("README.md")) {
    $readme{$1} = $2 if /^\| `<?(Scep\w+).* \| ([^|]*) \|$/;
}

while ($config =~ /AP_INIT_\w+\(\s*"(Scep\w+)",\s*\w+,\s*(.*?),
                   \s*RSRC_CONF,\s*((?:"[^"]*"\s*)+)\)/sgx) {
    my ($name, $info, $text) = ($1, $2, $3);
    my $help = join "", $text =~ /"([^"]*)"/g;
    my $default = $help =~ /\(default ([^,:)]+(?::(?=\)))?)/ ? $1
        : $help =~ /(\w+) \(default\)/ ? $1 : next;
    my $member = $info =~ /AT\((\w+)\)/ ? $1 : $info =~ /&(\w+)/ ? $range{$1} : undef;
    my ($shown, $tabled) = map { $_ // "nothing" } $reference{$name}, $readme{$name};

    $checked++;
    $shown eq $default or
        complain("$name: $default in the help text, $shown in reference.conf");
    $tabled =~ /^\Q$default\E(?: \(.*\))?$/ or
        complain("$name: $default in the help text, $tabled in README.md");
    if (defined $member && defined $preset{$member} && defined figures($default)) {
        figures($default) == $preset{$member} or
            complain("$name: $default in the help text, $preset{$member} in mod_scep_config.h");
    }
    elsif (defined $member && defined figures($default)) {
        complain("$name: no preset of $member is found in mod_scep_config.h");
    }
}
my ($shown, $keys) = (slurp("conf-examples/reference.conf"), 0);
for my $file (glob("policy/*.c"), glob("ca_backend/*.c")) {
    my $source = slurp($file);
    while ($source =~ /settings_key_t \w+\[\] = \{(.*?)\};/gs) {
        for my $key ($1 =~ /\{"(\w+)",/g) {
            $keys++;
            $shown =~ /\b$key=/ or complain("$key= of $file is not in reference.conf");
        }
    }
}
complain("only $keys keys") if $keys < 20;
complain("only $checked directives with a default") if $checked < 20;
print "check_directives: $checked defaults, $keys keys\n";
exit $bad;
'
