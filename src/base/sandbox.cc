#include "base/sandbox.h"

#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string_view>
#include <system_error>

#include "base/landlock.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PROPLET_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PROPLET_SANITIZED 1
#endif
#ifndef PROPLET_SANITIZED
#define PROPLET_SANITIZED 0
#endif

namespace proplet {
namespace {

struct FilterRelease {
  void operator()(void* filter) const { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FilterRelease>;

// What a worker of threads, sockets, files below its folders and just-in-time compiled code calls, by topic. Calls that
// this machine does not have are skipped.
constexpr std::string_view kAllowed =
    // memory
    "brk mmap mmap2 munmap mprotect mremap madvise mlock mlock2 munlock msync mincore pkey_alloc pkey_free "
    "pkey_mprotect memfd_create memfd_secret membarrier "
    // threads, signals and time
    "futex futex_time64 futex_waitv set_robust_list get_robust_list rseq set_tid_address gettid getpid getppid "
    "getpgrp getpgid getsid exit exit_group sched_yield sched_getaffinity sched_setaffinity sched_getparam "
    "sched_getscheduler sched_get_priority_max sched_get_priority_min getcpu getpriority setpriority "
    "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait rt_sigtimedwait_time64 rt_sigpending rt_sigsuspend "
    "sigaltstack sigreturn tgkill restart_syscall nanosleep clock_nanosleep clock_nanosleep_time64 clock_gettime "
    "clock_gettime64 clock_getres clock_getres_time64 gettimeofday time times getitimer setitimer pause "
    "arch_prctl set_thread_area get_thread_area "
    // files
    "open openat openat2 creat close close_range read readv pread64 preadv preadv2 write writev pwrite64 pwritev "
    "pwritev2 lseek _llseek stat stat64 fstat fstat64 lstat lstat64 newfstatat fstatat64 statx statfs statfs64 "
    "fstatfs fstatfs64 access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd chdir fchdir "
    "umask mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat ftruncate "
    "ftruncate64 truncate truncate64 fallocate fsync fdatasync sync_file_range fadvise64 fadvise64_64 flock "
    "fcntl fcntl64 dup dup2 dup3 chmod fchmod fchmodat utimensat utimensat_time64 utimes futimesat "
    "copy_file_range sendfile sendfile64 splice tee "
    // waiting and sockets
    "poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 epoll_ctl "
    "epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 timerfd_create timerfd_settime timerfd_gettime "
    "signalfd4 pipe pipe2 socketpair connect bind listen accept accept4 sendto sendmsg sendmmsg recvfrom recvmsg "
    "recvmmsg recvmmsg_time64 shutdown getsockname getpeername getsockopt setsockopt "
    // about ourselves
    "uname sysinfo getrandom getuid geteuid getgid getegid getgroups getresuid getresgid getrlimit ugetrlimit "
    "setrlimit prlimit64 getrusage prctl capget ioctl seccomp landlock_create_ruleset landlock_add_rule "
    "landlock_restrict_self "
#if PROPLET_SANITIZED
    // The sanitizers of test builds look for leaks from a tracing thread at the end, and start a symboliser.
    "clone ptrace wait4 waitid kill tkill process_vm_readv personality "
#endif
    "";

// What no program that a worker starts has any business with.
constexpr std::string_view kNeverAllowed =
#if !PROPLET_SANITIZED
    "ptrace process_vm_readv personality "
#endif
    "process_vm_writev process_madvise pidfd_getfd kcmp bpf perf_event_open userfaultfd "
    "io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key mount umount umount2 "
    "mount_setattr move_mount open_tree fsopen fsconfig fsmount fspick pivot_root chroot unshare setns "
    "open_by_handle_at name_to_handle_at init_module finit_module delete_module kexec_load kexec_file_load "
    "reboot swapon swapoff acct quotactl quotactl_fd nfsservctl iopl ioperm settimeofday clock_settime "
    "clock_settime64 clock_adjtime clock_adjtime64 adjtimex stime sethostname setdomainname syslog vhangup "
    "lookup_dcookie move_pages migrate_pages mbind set_mempolicy fanotify_init mknod mknodat "
    "modify_ldt uselib ustat sysfs _sysctl";

tl::unexpected<Error> refused(std::string_view what, int error) {
  return fail(Code::io_failed, "the sandbox cannot be entered: {}: {}", what,
              std::generic_category().message(error < 0 ? -error : error));
}

// The condition that the numbered argument of a call compares so.
scmp_arg_cmp argument(unsigned index, scmp_compare comparison, scmp_datum_t a, scmp_datum_t b = 0) {
  return {.arg = index, .op = comparison, .datum_a = a, .datum_b = b};
}

template <class... Conditions>
Status add(const Filter& filter, std::uint32_t action, const std::string& name, Conditions... conditions) {
  const int call = ::seccomp_syscall_resolve_name(name.c_str());
  if (call == __NR_SCMP_ERROR) return {};  // newer than this libseccomp: stays with the default
  const std::array<scmp_arg_cmp, sizeof...(Conditions)> list{conditions...};
  const int error = ::seccomp_rule_add_array(filter.get(), action, call, list.size(), list.data());
  if (error != 0 && error != -EDOM) return refused(name, error);
  return {};
}

Status add_all(const Filter& filter, std::uint32_t action, std::string_view names) {
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(' '), names.size());
    TRY(add(filter, action, std::string(names.substr(0, end))));
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return {};
}

Result<Filter> allow_list() {
  Filter filter(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
  if (!filter) return refused("seccomp_init", ENOMEM);
  TRY(add_all(filter, SCMP_ACT_ALLOW, kAllowed));
  for (const int family : {AF_UNIX, AF_INET, AF_INET6}) {
    TRY(add(filter, SCMP_ACT_ALLOW, "socket", argument(0, SCMP_CMP_EQ, static_cast<scmp_datum_t>(family))));
  }
  // The C library lists our addresses this way.
  TRY(add(filter, SCMP_ACT_ALLOW, "socket", argument(0, SCMP_CMP_EQ, AF_NETLINK),
          argument(2, SCMP_CMP_EQ, NETLINK_ROUTE)));
#if !PROPLET_SANITIZED
  // Threads, but no processes. clone3 hides its flags in memory; without it glibc takes clone.
  TRY(add(filter, SCMP_ACT_ALLOW, "clone", argument(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)));
#endif
  return filter;
}

Result<Filter> refusal_list() {
  Filter filter(::seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return refused("seccomp_init", ENOMEM);
  TRY(add_all(filter, SCMP_ACT_ERRNO(EPERM), kNeverAllowed));
  return filter;
}

Status restrict_calls(bool programs) {
  TRY_ASSIGN(const Filter filter, programs ? refusal_list() : allow_list());
  if (const int error = ::seccomp_load(filter.get()); error != 0) return refused("seccomp_load", error);
  return {};
}

}  // namespace

Result<SandboxReport> enter_sandbox(const SandboxPolicy& policy) {
  SandboxReport report;
  report.landlock_version = landlock_version();
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("no_new_privs", errno);
  if (policy.programs) {
    report.missing = "Landlock, because external programs are used";
  } else if (report.landlock_version == 0) {
    report.missing = "Landlock (Linux 5.13, or switched off)";
  } else {
    TRY(restrict_files(policy, report.landlock_version));
    report.files = true;
  }
  if (::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
    report.missing += report.missing.empty() ? "seccomp" : ", seccomp";
    return report;
  }
  TRY(restrict_calls(policy.programs));
  report.system_calls = true;
  return report;
}

std::vector<std::string> system_read_paths() {
  return {"/etc",
          "/usr",
          "/lib",
          "/lib64",
          "/proc",
          "/sys",
          "/run/systemd/resolve",
          "/dev/urandom",
          "/dev/random",
          "/run/resolvconf",
          "/run/NetworkManager",
          "/run/nscd",
          "/var/lib/ca-certificates"};
}

}  // namespace proplet
