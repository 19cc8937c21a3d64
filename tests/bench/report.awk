# Turns the lines of run.sh's results into tables, a verdict on each target,
# and one line of JSON.
#
# A line: store, cache, operation, tool, round, wall seconds, CPU seconds, peak
# KiB, bytes (of the image without parity; of what a proof reads), bytes of
# parity.

BEGIN {
	FS = "\t"
}

{
	group = $1 SUBSEP $2 SUBSEP $3
	one = group SUBSEP $4
	if (!(group in group_seen)) {
		group_seen[group] = 1
		groups[++group_count] = group
	}
	if (!(one in count)) {
		tools_of[group] = tools_of[group] " " $4
		least[one] = $6
	}
	n = ++count[one]
	wall[one, n] = $6
	cpu[one, n] = $7
	peak[one, n] = $8
	if ($6 < least[one])
		least[one] = $6
	if ($6 > most[one])
		most[one] = $6
	bytes[one] = $9
	parity[one] = $10
}

function greatest(values, one,   i, result) {
	for (i = 1; i <= count[one]; i++)
		if (values[one, i] + 0 > result)
			result = values[one, i] + 0
	return result
}

function id(store, cache, operation, tool) {
	return store SUBSEP cache SUBSEP operation SUBSEP tool
}

function print_group(group,   part, tools, n, i, one, ours, mid, ratio, size) {
	split(group, part, SUBSEP)
	printf "\n%s store, %s cache: %s\n", part[1], part[2], part[3]
	printf "%-11s %8s %8s %8s %7s %8s %8s  %s\n", "", "median", "min",
		"max", "ratio", "CPU s", "peak MiB", part[3] == "seed" ? \
		"image" : part[3] ~ /verify/ ? "speed" : ""
	n = split(tools_of[group], tools, " ")
	ours = group SUBSEP "causeway"
	for (i = 1; i <= n; i++) {
		one = group SUBSEP tools[i]
		mid = median(wall, one)
		ratio = ours in count && one != ours && mid > 0 ? \
			sprintf("%.3f", median(wall, ours) / mid) : "-"
		size = ""
		if (part[3] == "seed")
			size = sprintf("%.3f GB", bytes[one] / 1e9)
		else if (part[3] ~ /verify/ && mid > 0)
			size = sprintf("%.2f GB/s", bytes[one] / mid / 1e9)
		if (parity[one] > 0)
			size = size sprintf(" and %.3f GB of parity",
				parity[one] / 1e9)
		printf "%-11s %8.2f %8.2f %8.2f %7s %8.2f %8.0f  %s\n",
			tools[i], mid, least[one], most[one], ratio,
			median(cpu, one), greatest(peak, one) / 1024, size
		json_runs = json_runs (json_runs ? "," : "") sprintf( \
			"{\"store\":\"%s\",\"cache\":\"%s\"," \
			"\"operation\":\"%s\",\"tool\":\"%s\",\"runs\":%d," \
			"\"median\":%.3f,\"min\":%.3f,\"max\":%.3f," \
			"\"ratio\":%s,\"cpu_seconds\":%.3f,\"peak_kib\":%d," \
			"\"bytes\":%.0f,\"parity_bytes\":%.0f}", part[1],
			part[2], part[3], tools[i], count[one], mid,
			least[one], most[one], ratio == "-" ? "null" : ratio,
			median(cpu, one), greatest(peak, one), bytes[one],
			parity[one])
	}
}

# One line of the verdict; `is_floor` where the figure must not be below.
function judge(what, figure, limit, is_floor,   is_met) {
	is_met = is_floor ? figure >= limit : figure <= limit
	printf "%-6s %-62s %9.3f %s %.3f\n", is_met ? "met" : "MISSED", what,
		figure, is_floor ? "of at least" : "of at most", limit
	json_targets = json_targets (json_targets ? "," : "") sprintf( \
		"{\"target\":\"%s\",\"figure\":%.4f,\"limit\":%.4f," \
		"\"met\":%s}", what, figure, limit, is_met ? "true" : "false")
	missed += !is_met
	judged++
}

function judge_time(store, cache, operation, tool, limit,   ours, theirs) {
	ours = id(store, cache, operation, "causeway")
	theirs = id(store, cache, operation, tool)
	if (ours in count && theirs in count)
		judge(sprintf("%s, %s: %s, time against %s", store, cache,
			operation, tool),
			median(wall, ours) / median(wall, theirs), limit, 0)
}

function judge_image(store, cache,   ours, tools, n, i, one, smallest, name) {
	ours = id(store, cache, "seed", "causeway")
	n = split("tar restic borg dar casync", tools, " ")
	for (i = 1; i <= n; i++) {
		one = id(store, cache, "seed", tools[i])
		if (one in count && (!smallest || bytes[one] < smallest)) {
			smallest = bytes[one]
			name = tools[i]
		}
	}
	if (ours in count && smallest)
		judge(sprintf("%s, %s: image without parity, size against %s",
			store, cache, name), bytes[ours] / smallest, 1, 0)
}

# The most that any run of ours took, of either cache; 0 if none ran.
function our_peak(store, operation,   warm, cold) {
	warm = greatest(peak, id(store, "warm", operation, "causeway")) + 0
	cold = greatest(peak, id(store, "cold", operation, "causeway")) + 0
	return (warm > cold ? warm : cold) / 1024
}

function judge_memory(operation,   mixed, small) {
	mixed = our_peak("mixed", operation)
	small = our_peak("small", operation)
	if (mixed)
		judge("mixed: " operation ", peak MiB", mixed, 256, 0)
	if (small)
		judge("small: " operation ", peak MiB", small, 256, 0)
	# The store of more messages is the larger; 5% is noise.
	if (mixed && small)
		judge(operation ", peak of the larger store by the smaller",
			small / mixed, 1.05, 0)
}

function judge_all(   s, c, store, cache, stores_of, caches_of, ours, dd) {
	split("mixed small", stores_of, " ")
	split("warm cold", caches_of, " ")
	for (s = 1; s <= 2; s++)
		for (c = 1; c <= 2; c++) {
			store = stores_of[s]
			cache = caches_of[c]
			judge_time(store, cache, "seed", "tar",
				s == 1 ? 0.85 : 0.7)
			judge_time(store, cache, "seed", "restic",
				s == 1 ? 0.45 : 0.25)
			judge_time(store, cache, "seed", "borg",
				s == 1 ? 0.45 : 0.25)
			judge_time(store, cache, "seed", "dar", 0.45)
			judge_image(store, cache)
			judge_time(store, cache, "receive", "tar", 0.85)
			judge_time(store, cache, "receive", "restic", 0.45)
			judge_time(store, cache, "verify-cached", "sha256sum",
				0.2)
			ours = id(store, cache, "verify-direct", "causeway")
			dd = id(store, cache, "verify-direct", "dd")
			if (ours in count && dd in count)
				judge(store ": verify past the cache, speed " \
					"against dd", median(wall, dd) / \
					median(wall, ours), 0.9, 1)
		}
	judge_memory("seed")
	judge_memory("receive")
	judge_memory("verify-cached")
	judge_memory("verify-direct")
}

END {
	printf "Causeway %s, %s, %d processors, %d MiB, Linux %s\n%s\n%s\n",
		commit, date, cpus, memory, kernel, peers, stores
	print "Seconds of wall time; ratio is Causeway's median by the tool's."
	print "Causeway's seed hashes, seals, signs, fsyncs and reads back" \
		" what it wrote, with\nparity where that is shown; its" \
		" receive syncs. The others leave their writes to the\npage" \
		" cache. dar and casync do not encrypt. cp -a is the floor."
	for (g = 1; g <= group_count; g++)
		print_group(groups[g])
	print ""
	judge_all()
	if (judged)
		printf "%d of %d targets met\n", judged - missed, judged
	gsub(/["\\]/, "", peers)
	gsub(/["\\]/, "", stores)
	printf "\n{\"version\":1,\"commit\":\"%s\",\"date\":\"%s\"," \
		"\"cpus\":%d,\"memory_mib\":%d,\"peers\":\"%s\"," \
		"\"stores\":\"%s\",\"runs\":[%s],\"targets\":[%s]}\n", commit,
		date, cpus, memory, peers, stores, json_runs, json_targets
}
