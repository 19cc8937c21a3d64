# For media.awk and report.awk, whose array count says how many values there are.

# The middle value; of an even count the mean of the middle two.
function median(values, one,   i, j, n, t, sorted) {
	n = count[one]
	for (i = 1; i <= n; i++)
		sorted[i] = values[one, i] + 0
	for (i = 2; i <= n; i++) {
		t = sorted[i]
		for (j = i - 1; j >= 1 && sorted[j] > t; j--)
			sorted[j + 1] = sorted[j]
		sorted[j + 1] = t
	}
	if (n % 2)
		return sorted[(n + 1) / 2]
	return (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}
