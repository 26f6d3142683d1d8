#include "worker/host_facts.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>

#include "base/fd.h"
#include "base/process_stats.h"

namespace proplet::worker {
namespace {

// The address this machine would use towards the internet. Connecting a UDP socket sends nothing.
std::string local_address() {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return {};
  sockaddr_in remote{};
  remote.sin_family = AF_INET;
  remote.sin_port = htons(80);
  remote.sin_addr.s_addr = htonl(0x08080808);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&remote), sizeof remote) != 0) return {};
  sockaddr_in local{};
  socklen_t size = sizeof local;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&local), &size) != 0) return {};
  std::array<char, INET_ADDRSTRLEN> text{};
  if (inet_ntop(AF_INET, &local.sin_addr, text.data(), text.size()) == nullptr) return {};
  return text.data();
}

}  // namespace

HostFacts collect_host_facts() {
  HostFacts facts;
  facts.ip = local_address();
  facts.environment = access("/.dockerenv", F_OK) == 0 ? "docker" : "binary";
  facts.os = "linux";
  facts.total_memory_bytes = machine_memory_bytes();
  utsname name{};
  if (uname(&name) == 0) {
    facts.hostname = name.nodename;
    facts.cpu_arch = name.machine;
  }
  return facts;
}

}  // namespace proplet::worker
