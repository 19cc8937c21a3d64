# Turns the lines of media.sh's results into a table, a verdict on each target,
# and one line of JSON.
#
# A line: case, what, round, wall seconds, CPU seconds, peak KiB, bytes.

BEGIN {
	FS = "\t"
	# Case, the two that are compared, the most that the ratio of their
	# times may be, and what that means.
	target("verify", "causeway", "dd", 1 / 0.9, \
	    "verify of one disk: at least 0.9 of dd's speed")
	target("cached", "causeway", "sha256sum", 0.2, \
	    "verify --cached: at most 0.2 of sha256sum's time")
	target("parallel", "causeway", "dd", 1 / 0.9, \
	    "verify of two disks: at least 0.9 of two dd's at once")
	target("parity", "with", "without", 1.1, \
	    "a seed with parity 10+1: at most 1.1 of its time without")
	target("repair", "causeway", "dd", 2.5, \
	    "repair of one volume of 11: at most 2.5 of reading the ten")
}

function target(name, a, b, most, text) {
	targets[++target_count] = name
	target_a[name] = a
	target_b[name] = b
	target_most[name] = most
	target_text[name] = text
}

{
	one = $1 SUBSEP $2
	if (!($1 in case_seen)) {
		case_seen[$1] = 1
		cases[++case_count] = $1
	}
	if (!(one in count)) {
		whats[$1] = whats[$1] " " $2
		least[one] = $4
	}
	n = ++count[one]
	wall[one, n] = $4
	cpu[one, n] = $5
	if ($6 > peak[one])
		peak[one] = $6
	if ($4 < least[one])
		least[one] = $4
	if ($4 > most[one])
		most[one] = $4
	bytes[one] = $7
}

END {
	json = ""
	for (i = 1; i <= case_count; i++) {
		name = cases[i]
		printf "%s\n  %-12s %8s %8s %8s %8s %8s %8s\n", name, "", \
		    "median", "min", "max", "CPU s", "MB/s", "peak MiB"
		n = split(whats[name], list, " ")
		for (j = 1; j <= n; j++) {
			one = name SUBSEP list[j]
			s = median(wall, one)
			printf "  %-12s %8.2f %8.2f %8.2f %8.2f %8.0f %8.0f\n", \
			    list[j], s, least[one], most[one], \
			    median(cpu, one), (s > 0 ? bytes[one] / s / 1e6 : 0), \
			    peak[one] / 1024
			json = json sprintf("%s{\"case\":\"%s\",\"what\":" \
			    "\"%s\",\"runs\":%d,\"seconds\":%.3f,\"cpu\":%.3f," \
			    "\"bytes\":%.0f,\"peak_kib\":%d}", \
			    (json == "" ? "" : ","), name, list[j], count[one], \
			    s, median(cpu, one), bytes[one], peak[one])
		}
	}
	print ""
	verdicts = ""
	for (i = 1; i <= target_count; i++) {
		name = targets[i]
		a = name SUBSEP target_a[name]
		b = name SUBSEP target_b[name]
		if (!(a in count) || !(b in count) || median(wall, b) <= 0)
			continue
		ratio = median(wall, a) / median(wall, b)
		met = ratio <= target_most[name]
		printf "%s  %.3f of the time (at most %.3f): %s\n", \
		    (met ? "met   " : "MISSED"), ratio, target_most[name], \
		    target_text[name]
		verdicts = verdicts sprintf("%s{\"case\":\"%s\",\"ratio\":" \
		    "%.4f,\"at_most\":%.4f,\"met\":%s}", \
		    (verdicts == "" ? "" : ","), name, ratio, \
		    target_most[name], (met ? "true" : "false"))
	}
	# What parity adds to a seed, against par2 on the same bytes.
	a = "parity" SUBSEP "with"
	b = "parity" SUBSEP "without"
	if ((a in count) && (("par2" SUBSEP "par2") in count)) {
		extra = median(wall, a) - median(wall, b)
		if (extra < 0.01)
			extra = 0.01
		ratio = median(wall, "par2" SUBSEP "par2") / extra
		printf "%s  %.0f times as long as parity adds to a seed (at" \
		    " least 20): par2\n", (ratio >= 20 ? "met   " : "MISSED"), \
		    ratio
	}
	printf "\n{\"version\":1,\"date\":\"%s\",\"commit\":\"%s\"," \
	    "\"cpus\":%d,\"kernel\":\"%s\",\"runs\":[%s],\"targets\":[%s]}\n", \
	    date, commit, cpus, kernel, json, verdicts
}
