// Where small secrets live: keys, tokens, passwords; SecretBytes of up to kArenaLimit bytes come from here.
//
// Blocks are cut from chunks of memory that the kernel itself cannot read through its own mapping (memfd_secret, Linux
// 5.14 and newer): neither another process with all rights, nor a core dump, nor a stray kernel pointer gets at them.
// Where the kernel does not offer that, a chunk is ordinary memory, locked and left out of dumps. Chunks are never
// inherited by a fork and never given back; a freed block is wiped and used again. A page holds many keys, which is
// why few locked pages are enough for many of them. Thread-safe. There is one arena in a process, as there is one heap
// (docs/adr/0006).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace proplet {

inline constexpr std::size_t kArenaLimit = 2048;  // bytes

enum class SecretMemory : std::uint8_t {
  hidden,    // memfd_secret
  locked,    // never swapped, not dumped
  unlocked,  // not dumped; the process may not lock memory
};

// "hidden from the kernel", "locked", "not locked"
std::string_view secret_memory_name(SecretMemory kind);

// The weakest kind of any chunk so far; makes the first chunk if there is none. For the log and for diagnosis.
SecretMemory secret_memory_kind();

// A block of zeros, `size` from 1 to kArenaLimit. Aborts when the system has no memory left.
std::uint8_t* arena_allocate(std::size_t size);
// `size` as it was asked for. Wipes the block.
void arena_free(std::uint8_t* block, std::size_t size);

}  // namespace proplet
