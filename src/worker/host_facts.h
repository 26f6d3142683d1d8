// What discovery tells about the machine, with real numbers. Nothing is sent to find out.
#pragma once

#include <cstdint>
#include <string>

namespace proplet::worker {

struct HostFacts {
  std::string ip;           // empty if unknown
  std::string environment;  // "docker" or "binary"
  std::string os;
  std::string hostname;
  std::string cpu_arch;  // "x86_64", "aarch64", "riscv64"
  std::uint64_t total_memory_bytes = 0;
};

HostFacts collect_host_facts();

}  // namespace proplet::worker
