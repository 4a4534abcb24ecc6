/* What a service that was taken over tries against its sandbox. Writes one line for each attack into the
 * file that is the first argument: its name, and whether it succeeded. Links statically. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static FILE *report;

static void tell(const char *name, int succeeded)
{
	fprintf(report, "%s: %s\n", name, succeeded ? "succeeded" : "held");
}

/* Whether the kernel makes a socket of a family for an io_uring, which no filter of system calls sees. */
static int uring_socket(int family, int type)
{
	struct io_uring_params p = {0};
	int ring = (int)syscall(__NR_io_uring_setup, 2, &p);
	if (ring < 0)
		return 0;
	size_t sq_size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
	size_t cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	int prot = PROT_READ | PROT_WRITE;
	char *sq = mmap(0, sq_size, prot, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	char *cq = mmap(0, cq_size, prot, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	struct io_uring_sqe *sqe =
		mmap(0, p.sq_entries * sizeof *sqe, prot, MAP_SHARED, ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || sqe == MAP_FAILED)
		return 0;
	memset(sqe, 0, sizeof *sqe);
	sqe->opcode = IORING_OP_SOCKET;
	sqe->fd = family;
	sqe->off = (unsigned long long)type;
	((unsigned *)(sq + p.sq_off.array))[0] = 0;
	__atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 1)
		return 0;
	struct io_uring_cqe *cqe = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	int made = cqe->res >= 0;
	close(ring);
	return made;
}

static int ends_well(pid_t child)
{
	int status = 0;
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

/* Copies this program to an open file. */
static void copy_self(int to)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char block[65536];
	ssize_t got;
	while ((got = read(from, block, sizeof block)) > 0)
		if (write(to, block, (size_t)got) != got)
			break;
	close(from);
}

/* Runs a program from memory that has no name in any directory. */
static int runs_from_memory(void)
{
	int memory = (int)syscall(__NR_memfd_create, "attack", 0);
	if (memory < 0)
		return 0;
	copy_self(memory);
	pid_t child = fork();
	if (child == 0) {
		char *argv[] = {"attack", "exit", NULL};
		char *envp[] = {NULL};
		syscall(__NR_execveat, memory, "", argv, envp, AT_EMPTY_PATH);
		_exit(1);
	}
	return ends_well(child);
}

static char executable_in[4096];

/* Tries to write and execute a program in each directory that the service sees. */
static int try_directory(const char *path, const struct stat *meta, int kind, struct FTW *where)
{
	(void)meta;
	(void)where;
	if (kind != FTW_D && kind != FTW_DNR)
		return FTW_CONTINUE;
	if (!strcmp(path, "/proc") || !strcmp(path, "/sys"))
		return FTW_SKIP_SUBTREE;
	char file[4096];
	snprintf(file, sizeof file, "%s/.attack", path);
	int to = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	if (to < 0)
		return FTW_CONTINUE;
	copy_self(to);
	/* A file that is open for writing cannot be executed. */
	close(to);
	pid_t child = fork();
	if (child == 0) {
		execl(file, "attack", "exit", (char *)NULL);
		_exit(1);
	}
	if (ends_well(child) && strlen(executable_in) + strlen(path) + 2 < sizeof executable_in)
		strcat(strcat(executable_in, " "), path);
	unlink(file);
	return FTW_CONTINUE;
}

/* Reads the secret KEY of another service through its root directory. */
static int reads_secret(void)
{
	glob_t found;
	int succeeded = 0;
	if (glob("/proc/[0-9]*/root/run/credentials/*/KEY", 0, NULL, &found))
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char byte;
		int from = open(found.gl_pathv[i], O_RDONLY | O_CLOEXEC);
		succeeded |= from >= 0 && read(from, &byte, 1) == 1;
		close(from);
	}
	globfree(&found);
	return succeeded;
}

/* Reads a file that another user has left in the shared memory of the host. */
static int reads_shared_memory(void)
{
	char byte;
	int from = open("/dev/shm/left-by-another-user", O_RDONLY | O_CLOEXEC);
	int succeeded = from >= 0 && read(from, &byte, 1) == 1;
	close(from);
	return succeeded;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "exit"))
		return 0;
	char temporary[4096];
	snprintf(temporary, sizeof temporary, "%s.new", argv[1]);
	report = fopen(temporary, "w");
	if (!report)
		return 2;
	tell("an Internet socket through io_uring", uring_socket(AF_INET, SOCK_STREAM));
	tell("a netlink socket through io_uring", uring_socket(AF_NETLINK, SOCK_RAW));
	tell("a socket to the hypervisor through io_uring", uring_socket(AF_VSOCK, SOCK_STREAM));
	/* 1 is UFFD_USER_MODE_ONLY. */
	tell("userfaultfd", syscall(__NR_userfaultfd, O_CLOEXEC | 1) >= 0);
	tell("a key in a keyring of the kernel",
	     syscall(__NR_add_key, "user", "attack", "x", 1, KEY_SPEC_PROCESS_KEYRING) >= 0);
	tell("a file of another user in shared memory", reads_shared_memory());
	nftw("/", try_directory, 64, FTW_PHYS | FTW_ACTIONRETVAL);
	tell("a program that it wrote into a directory", executable_in[0] != 0);
	if (executable_in[0])
		fprintf(stderr, "executes files in%s\n", executable_in);
	tell("a program that it wrote into memory", runs_from_memory());
	tell(argv[2], reads_secret());
	fclose(report);
	return rename(temporary, argv[1]) ? 2 : 0;
}
