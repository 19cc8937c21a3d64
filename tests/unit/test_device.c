/*
 * media/device.h and what fills its list, on trees that stand for /sys and
 * /proc of machines we do not have.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "formats/manifest/medium.h"
#include "media/device.h"
#include "media/device_probe.h"
#include "media/device_seeds.h"
#include "media/device_use.h"
#include "tests/unit/scratch.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static char root[] = "/tmp/test_device.XXXXXX";
static struct cw_devices *all;
static struct cw_error err;

/* A file below root, with its directories. */
static void
put(const char *path, const char *text)
{
	char *whole = cw_asprintf("%s/%s", root, path);
	char *dir = cw_strdup(whole);
	int fd;

	*strrchr(dir, '/') = '\0';
	ck_assert_int_eq(cw_make_dirs(dir, 0755, &err), 0);
	fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(cw_write_all(fd, text, strlen(text), &err), 0);
	cw_close(&fd);
	free(dir);
	free(whole);
}

/* A disk at a place of /sys/devices, and its entry in /sys/block. */
static void
put_disk(const char *place, const char *name, const char *number,
    const char *sectors)
{
	char *at = cw_asprintf("%s/sys/block", root), *file, *target;

	ck_assert_int_eq(cw_make_dirs(at, 0755, &err), 0);
	free(at);
	file = cw_asprintf("sys/devices/%s/block/%s/dev", place, name);
	put(file, number);
	free(file);
	file = cw_asprintf("sys/devices/%s/block/%s/size", place, name);
	put(file, sectors);
	free(file);
	at = cw_asprintf("%s/sys/block/%s", root, name);
	target = cw_asprintf("../devices/%s/block/%s", place, name);
	ck_assert_int_eq(symlink(target, at), 0);
	free(target);
	free(at);
}

static void
put_attribute(const char *name, const char *attribute, const char *text)
{
	char *path = cw_asprintf("sys/block/%s/%s", name, attribute);

	put(path, text);
	free(path);
}

static void
put_part(const char *disk, const char *name, const char *partition,
    const char *number)
{
	char *at;

	at = cw_asprintf("%s/partition", name);
	put_attribute(disk, at, partition);
	free(at);
	at = cw_asprintf("%s/dev", name);
	put_attribute(disk, at, number);
	free(at);
	at = cw_asprintf("%s/start", name);
	put_attribute(disk, at, "2048\n");
	free(at);
	at = cw_asprintf("%s/size", name);
	put_attribute(disk, at, "4096\n");
	free(at);
}

/*
 * sda: the system's, sda1 /boot, sda2 LVM with the root; sdb: a USB disk with
 * a partition that is mounted twice; sdc: nobody's; nvme0n1: btrfs, which has
 * a number of its own; loop3: a file on sdb1; loop4: nothing in it.
 */
static void
setup(void)
{
	memcpy(root + sizeof(root) - 7, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(root));
	all = NULL;
	err = (struct cw_error)CW_ERROR_INIT;

	put_disk("pci0/ata1/host0/target0", "sda", "8:0\n", "1000\n");
	put_part("sda", "sda1", "1\n", "8:1\n");
	put_part("sda", "sda2", "2\n", "8:2\n");
	put("sys/block/sda/sda2/holders/dm-0", "");
	put_disk("virtual", "dm-0", "253:0\n", "900\n");
	put_attribute("dm-0", "dm/name", "vg-root\n");

	put_disk("pci0/usb1/1-2/1-2:1.0/host6", "sdb", "8:16\n", "4194304\n");
	put("sys/devices/pci0/usb1/1-2/idVendor", "1058\n");
	put("sys/devices/pci0/usb1/1-2/serial", "WX11AB2\n");
	put_attribute("sdb", "device/vendor", "WD      \n");
	put_attribute("sdb", "device/model", "Elements 25A2    \n");
	put_attribute("sdb", "queue/rotational", "1\n");
	put_attribute("sdb", "removable", "1\n");
	put_part("sdb", "sdb1", "1\n", "8:17\n");

	put_disk("pci0/ata2/host1/target0", "sdc", "8:32\n", "2048\n");
	put_attribute("sdc", "ro", "1\n");
	put_attribute("sdc", "device/vendor", "ATA\n");
	put_attribute("sdc", "device/model", "KINGSTON\n");

	put_disk("pci0/nvme/nvme0", "nvme0n1", "259:0\n", "2048\n");
	put_attribute("nvme0n1", "device/model", "Fast One\n");
	put_attribute("nvme0n1", "device/serial", "S1\n");

	put_disk("virtual", "loop3", "7:3\n", "2048\n");
	put_attribute("loop3", "loop/backing_file", "/mnt/usb/disk.img\n");
	put_disk("virtual", "loop4", "7:4\n", "0\n");
	put_disk("virtual", "loop10", "7:10\n", "2048\n");

	put("proc/self/mountinfo",
	    "20 1 253:0 / / rw shared:1 - ext4 /dev/mapper/vg-root rw\n"
	    "21 20 8:1 / /boot rw - ext4 /dev/sda1 rw\n"
	    "22 20 8:17 / /mnt/usb rw - ext4 /dev/sdb1 rw\n"
	    "23 20 8:17 /sub /mnt/with\\040space rw - ext4 /dev/sdb1 rw\n"
	    "24 20 0:40 / /srv rw - btrfs /dev/nvme0n1 rw\n"
	    "25 20 0:41 / /run rw - tmpfs tmpfs rw\n");
	put("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"
			  "/dev/loop10\tpartition\t1\t0\t-2\n"
			  "/srv/swap\\040file\tfile\t1\t0\t-3\n");
}

static void
teardown(void)
{
	cw_devices_free(all);
	scratch_remove(root);
}

static void
list(void)
{
	ck_assert_int_eq(cw_devices_list(root, &all, &err), 0);
}

static void
list_uses(const struct cw_device_place *places, size_t count)
{
	list();
	ck_assert_int_eq(cw_devices_uses(all, places, count, true, &err), 0);
}

static const struct cw_device *
find(const char *name)
{
	int found = cw_devices_by_name(all, name);

	ck_assert_msg(found >= 0, "%s is not listed", name);
	return &all->list[found];
}

static bool
has_use(const char *name, enum cw_use_kind kind, const char *what)
{
	const struct cw_device *d = find(name);

	for (size_t i = 0; i < d->use_count; i++)
		if (d->uses[i].kind == kind &&
		    strcmp(d->uses[i].what, what) == 0)
			return true;
	return false;
}

START_TEST(disks_are_listed_as_people_count_with_their_partitions)
{
	static const char *const names[] = {"dm-0", "loop3", "loop4", "loop10",
	    "nvme0n1", "sda", "sda1", "sda2", "sdb", "sdb1", "sdc"};

	list();
	ck_assert_uint_eq(all->count, sizeof(names) / sizeof(*names));
	for (size_t i = 0; i < all->count; i++)
		ck_assert_str_eq(all->list[i].name, names[i]);
	ck_assert_int_eq(find("sda2")->parent, cw_devices_by_name(all, "sda"));
	ck_assert_int_eq(find("sda")->parent, -1);
	ck_assert_uint_eq(find("sda2")->partition, 2);
	ck_assert_uint_eq(find("sdb1")->start, 1u << 20);
	ck_assert_uint_eq(find("sdb1")->size, 2u << 20);
	ck_assert(find("sdb")->number == makedev(8, 16));
	ck_assert_uint_eq(find("sdb")->size, 2147483648u);
}
END_TEST

START_TEST(the_bus_is_the_way_through_sysfs)
{
	list();
	ck_assert_str_eq(find("sda")->bus, "sata");
	ck_assert_str_eq(find("sdb")->bus, "usb");
	ck_assert_str_eq(find("sdb1")->bus, "usb");
	ck_assert_str_eq(find("nvme0n1")->bus, "nvme");
	ck_assert_str_eq(find("loop3")->bus, "loop");
	ck_assert_str_eq(find("dm-0")->bus, "dm");
	ck_assert_int_eq(find("dm-0")->kind, CW_DEVICE_MAPPED);
	ck_assert_int_eq(find("loop3")->kind, CW_DEVICE_LOOP);
	ck_assert_int_eq(find("sdb1")->kind, CW_DEVICE_PARTITION);
}
END_TEST

START_TEST(model_and_serial_are_those_on_the_box)
{
	list();
	ck_assert_str_eq(find("sdb")->model, "WD Elements 25A2");
	ck_assert_str_eq(find("sdb")->serial, "WX11AB2");
	ck_assert(find("sdb")->is_removable);
	ck_assert(find("sdb")->is_rotational);
	ck_assert_str_eq(find("sdc")->model, "KINGSTON");
	ck_assert(find("sdc")->is_readonly);
	ck_assert(!find("sdb")->is_readonly);
	ck_assert_str_eq(find("nvme0n1")->serial, "S1");
	ck_assert_str_eq(find("loop3")->backing, "/mnt/usb/disk.img");
	ck_assert_ptr_null(find("loop4")->backing);
	ck_assert_str_eq(find("dm-0")->mapped, "vg-root");
}
END_TEST

START_TEST(every_mount_point_is_told)
{
	list_uses(NULL, 0);
	ck_assert_uint_eq(find("sdb1")->mount_count, 2);
	ck_assert(has_use("sdb1", CW_USE_MOUNTED, "/mnt/usb"));
	ck_assert(has_use("sdb1", CW_USE_MOUNTED, "/mnt/with space"));
	/* Its number in mountinfo is not the disk's. */
	ck_assert(has_use("nvme0n1", CW_USE_MOUNTED, "/srv"));
	ck_assert_uint_eq(find("sdc")->use_count, 0);
	ck_assert_uint_eq(find("loop4")->use_count, 0);
}
END_TEST

START_TEST(a_use_reaches_the_disk_below)
{
	list_uses(NULL, 0);
	ck_assert(
	    has_use("sdb", CW_USE_PART, "/dev/sdb1: mounted on /mnt/usb"));
	/* LVM: the partition is held, and the root's disk is the system's. */
	ck_assert(has_use("sda2", CW_USE_HELD, "dm-0 (vg-root)"));
	ck_assert(has_use("sda2", CW_USE_SYSTEM, "/"));
	ck_assert(has_use("sda", CW_USE_SYSTEM, "/"));
	ck_assert(has_use("sda", CW_USE_SYSTEM, "/boot"));
	ck_assert(!has_use("sda1", CW_USE_SYSTEM, "/"));
	ck_assert(!has_use("sdb", CW_USE_SYSTEM, "/"));
}
END_TEST

START_TEST(swap_on_a_device_and_in_a_file_is_told)
{
	list_uses(NULL, 0);
	ck_assert(has_use("loop10", CW_USE_SWAP, ""));
	ck_assert(has_use("nvme0n1", CW_USE_SWAP, "/srv/swap file"));
}
END_TEST

START_TEST(the_disk_with_a_loop_devices_file_is_told)
{
	list_uses(NULL, 0);
	ck_assert(has_use("sdb1", CW_USE_BACKING, "/dev/loop3"));
	ck_assert(cw_devices_is_on(all, (size_t)cw_devices_by_name(all, "sdb"),
	    (size_t)cw_devices_by_name(all, "loop3")));
	ck_assert(!cw_devices_is_on(all, (size_t)cw_devices_by_name(all, "sda"),
	    (size_t)cw_devices_by_name(all, "loop3")));
}
END_TEST

START_TEST(places_are_told_of_their_disk_and_all_below)
{
	const struct cw_device_place places[] = {
	    {"the store mail", "/mnt/usb/vmail"},
	    {"the state", "/var/lib/causeway"},
	    {"the escrow", "/mnt/usbstick"}};

	list_uses(places, 3);
	ck_assert(has_use("sdb1", CW_USE_PLACE, "the store mail"));
	ck_assert(has_use("sdb", CW_USE_PLACE, "the store mail"));
	ck_assert(has_use("dm-0", CW_USE_PLACE, "the state"));
	ck_assert(has_use("sda", CW_USE_PLACE, "the state"));
	ck_assert(!has_use("sdb", CW_USE_PLACE, "the state"));
	/* /mnt/usbstick is not below /mnt/usb. */
	ck_assert(!has_use("sdb", CW_USE_PLACE, "the escrow"));
}
END_TEST

START_TEST(a_machine_without_sysfs_is_an_error)
{
	ck_assert_int_eq(cw_devices_list("/nonexistent", &all, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_IO);
	ck_assert_ptr_null(all);
}
END_TEST

START_TEST(what_is_no_device_is_told_apart)
{
	size_t index;

	list();
	ck_assert_int_eq(
	    cw_devices_by_path(all, "/nonexistent", &index, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_MISSING);
	ck_assert_int_eq(cw_devices_by_path(all, "/tmp", &index, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_int_eq(
	    cw_devices_by_path(all, "/dev/null", &index, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
}
END_TEST

/* ---- what lies on them ---- */

/* An image of so many MiB, with bytes at an offset. */
static int
image(unsigned mib, uint64_t offset, const void *data, size_t len)
{
	char *path = cw_asprintf("%s/image", root);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)mib << 20), 0);
	if (len > 0)
		ck_assert_int_eq(cw_pwrite_all(fd, data, len, offset, &err), 0);
	free(path);
	return fd;
}

static void
probe(struct cw_device *d, int fd, unsigned mib)
{
	memset(d, 0, sizeof(*d));
	d->size = (uint64_t)mib << 20;
	cw_device_probe_fd(d, fd, true);
	(void)close(fd);
}

START_TEST(zeros_are_empty)
{
	struct cw_device d;

	probe(&d, image(64, 0, NULL, 0), 64);
	ck_assert(d.was_probed);
	ck_assert(!d.has_other);
	ck_assert_uint_eq(d.signature_count, 0);
	ck_assert_ptr_null(d.problem);
}
END_TEST

START_TEST(bytes_of_no_known_kind_are_not_empty)
{
	struct cw_device d;

	probe(&d, image(64, 4096, "?", 1), 64);
	ck_assert(d.has_other);
	probe(&d, image(64, (64u << 20) - 1, "?", 1), 64);
	ck_assert(d.has_other);
	/* Where only a thorough look comes: the samples between the ends. */
	probe(&d, image(64, 32u << 20, "?", 1), 64);
	ck_assert(d.has_other);
	free(d.problem);
}
END_TEST

/* LVM2's sum: CRC-32 with a beginning of its own and nothing at its end. */
static uint32_t
lvm_sum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0xf597a6cfu;

	for (size_t i = 0; i < len; i++) {
		sum ^= data[i];
		for (unsigned bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ ((sum & 1) != 0 ? 0xedb88320u : 0);
	}
	return sum;
}

static void
is_member(struct cw_device *d, const char *type, const char *usage)
{
	ck_assert_str_eq(d->type, type);
	ck_assert_str_eq(d->usage, usage);
	ck_assert_uint_eq(d->signature_count, 1);
	ck_assert_str_eq(d->signatures[0].type, type);
	free(d->problem);
}

START_TEST(members_of_lvm_are_known_by_their_mark)
{
	uint8_t sector[512] = {0};
	struct cw_device d;

	/* In the second sector; see lvm2's lib/label/label.h. */
	memcpy(sector, "LABELONE", 8);
	sector[8] = 1;	 /* its own number */
	sector[20] = 32; /* where what it tells begins */
	memcpy(sector + 24, "LVM2 001", 8);
	memset(sector + 32, 'a', 32); /* the volume's name */
	cw_put_le32(sector + 16, lvm_sum(sector + 20, sizeof(sector) - 20));
	probe(&d, image(64, 512, sector, sizeof(sector)), 64);
	is_member(&d, "LVM2_member", "raid");
}
END_TEST

START_TEST(members_of_a_raid_are_known_by_their_mark)
{
	uint8_t super[256] = {0};
	uint64_t sum = 0;
	struct cw_device d;

	/* Version 1.2, at 4 KiB; see the kernel's md_p.h. */
	cw_put_le32(super, 0xa92b4efcu);
	cw_put_le32(super + 4, 1);
	memset(super + 16, 0x5a, 16); /* the set's UUID */
	cw_put_le64(super + 144, 8);  /* where it is, in sectors */
	for (size_t i = 0; i < sizeof(super); i += 4)
		sum += cw_get_le32(super + i);
	cw_put_le32(super + 216, (uint32_t)(sum + (sum >> 32)));
	probe(&d, image(64, 4096, super, sizeof(super)), 64);
	is_member(&d, "linux_raid_member", "raid");
}
END_TEST

START_TEST(luks_is_known_by_its_mark)
{
	uint8_t header[592] = {0};
	struct cw_device d;

	memcpy(header, "LUKS\xba\xbe\0\1", 8);
	memcpy(header + 168, "12345678-1234-1234-1234-123456789012", 36);
	probe(&d, image(64, 0, header, sizeof(header)), 64);
	is_member(&d, "crypto_LUKS", "crypto");
	ck_assert_str_eq(d.uuid, "12345678-1234-1234-1234-123456789012");
}
END_TEST

/* ---- seeds ---- */

static void
put_medium(const char *id, const char *file, uint8_t first)
{
	struct cw_medium m = {.number = 2, .count = 3, .time = 1795348800};
	struct cw_buf text = CW_BUF_INIT;
	char *path = cw_asprintf("disk/causeway/%s/%s", id, file);

	memset(m.seed_id, 0x11, sizeof(m.seed_id));
	m.seed_id[0] = first;
	strcpy(m.label, "metairie-2");
	strcpy(m.filesystem, "-");
	ck_assert_int_eq(cw_medium_encode(&m, &text, &err), 0);
	put(path, cw_buf_string(&text));
	cw_buf_free(&text);
	free(path);
}

static void
look(struct cw_device *d)
{
	char *path = cw_asprintf("%s/disk", root);
	int fd = cw_open_dir(path, &err);

	memset(d, 0, sizeof(*d));
	ck_assert_int_ge(fd, 0);
	cw_device_seeds_beneath(d, fd);
	cw_close(&fd);
	free(path);
}

START_TEST(seeds_are_told_by_their_medium_or_its_copy)
{
	struct cw_device d;

	put_medium("2211111111111111", "MEDIUM", 0x22);
	put_medium("3311111111111111", "copy/MEDIUM", 0x33);
	put("disk/causeway/README.txt", "");
	look(&d);
	ck_assert_uint_eq(d.seed_count, 2);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_str_eq(d.seeds[i].id,
		    i == 0 ? "2211111111111111" : "3311111111111111");
		ck_assert_uint_eq(d.seeds[i].number, 2);
		ck_assert_uint_eq(d.seeds[i].count, 3);
		ck_assert_str_eq(d.seeds[i].label, "metairie-2");
		ck_assert_int_eq(d.seeds[i].time, 1795348800);
	}
	free(d.seeds);
}
END_TEST

START_TEST(a_medium_file_of_another_seed_tells_nothing)
{
	struct cw_device d;

	put_medium("2211111111111111", "MEDIUM", 0x44);
	put("disk/causeway/5511111111111111/MEDIUM", "not one\n");
	look(&d);
	ck_assert_uint_eq(d.seed_count, 2);
	ck_assert_uint_eq(d.seeds[0].number, 0);
	ck_assert_uint_eq(d.seeds[1].number, 0);
	free(d.seeds);
}
END_TEST

START_TEST(hostile_folders_are_not_followed_and_bounded)
{
	char *link = cw_asprintf("%s/disk/causeway", root);
	struct cw_device d;

	put("elsewhere/2211111111111111/MEDIUM", "x");
	put("disk/file", "");
	ck_assert_int_eq(symlink("../elsewhere", link), 0);
	look(&d);
	ck_assert_uint_eq(d.seed_count, 0);
	ck_assert_int_eq(unlink(link), 0);
	for (unsigned i = 0; i < CW_DEVICE_SEEDS_MAX + 10; i++) {
		char path[64];

		(void)snprintf(
		    path, sizeof(path), "disk/causeway/%016x/MEDIUM", i);
		put(path, "");
	}
	look(&d);
	ck_assert_uint_eq(d.seed_count, CW_DEVICE_SEEDS_MAX);
	free(d.seeds);
	free(link);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("device");
	TCase *tc = tcase_create("device");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(
	    tc, disks_are_listed_as_people_count_with_their_partitions);
	tcase_add_test(tc, the_bus_is_the_way_through_sysfs);
	tcase_add_test(tc, model_and_serial_are_those_on_the_box);
	tcase_add_test(tc, every_mount_point_is_told);
	tcase_add_test(tc, a_use_reaches_the_disk_below);
	tcase_add_test(tc, swap_on_a_device_and_in_a_file_is_told);
	tcase_add_test(tc, the_disk_with_a_loop_devices_file_is_told);
	tcase_add_test(tc, places_are_told_of_their_disk_and_all_below);
	tcase_add_test(tc, a_machine_without_sysfs_is_an_error);
	tcase_add_test(tc, what_is_no_device_is_told_apart);
	tcase_add_test(tc, zeros_are_empty);
	tcase_add_test(tc, bytes_of_no_known_kind_are_not_empty);
	tcase_add_test(tc, members_of_lvm_are_known_by_their_mark);
	tcase_add_test(tc, members_of_a_raid_are_known_by_their_mark);
	tcase_add_test(tc, luks_is_known_by_its_mark);
	tcase_add_test(tc, seeds_are_told_by_their_medium_or_its_copy);
	tcase_add_test(tc, a_medium_file_of_another_seed_tells_nothing);
	tcase_add_test(tc, hostile_folders_are_not_followed_and_bounded);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
