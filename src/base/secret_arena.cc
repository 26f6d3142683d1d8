#include "base/secret_arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

namespace proplet {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{64} << 10;
constexpr std::size_t kSmallest = 64;
constexpr std::size_t kLinkBytes = sizeof(std::uint8_t*);
constexpr std::size_t kClasses = 6;  // 64, 128 ... 2048
static_assert(kSmallest << (kClasses - 1) == kArenaLimit);

struct Chunk {
  std::uint8_t* data;
  SecretMemory kind;
};

std::uint8_t* map_hidden() {
#ifdef SYS_memfd_secret
  const int fd = static_cast<int>(::syscall(SYS_memfd_secret, O_CLOEXEC));
  if (fd < 0) return nullptr;
  void* pages = MAP_FAILED;
  if (::ftruncate(fd, kChunkBytes) == 0) {
    pages = ::mmap(nullptr, kChunkBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  ::close(fd);  // the mapping keeps the memory
  return pages == MAP_FAILED ? nullptr : static_cast<std::uint8_t*>(pages);
#else
  return nullptr;
#endif
}

Chunk map_chunk() {
  Chunk chunk{.data = map_hidden(), .kind = SecretMemory::hidden};
  if (chunk.data == nullptr) {
    void* pages = ::mmap(nullptr, kChunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) std::abort();
    chunk.data = static_cast<std::uint8_t*>(pages);
    chunk.kind = ::mlock(pages, kChunkBytes) == 0 ? SecretMemory::locked : SecretMemory::unlocked;
  }
  ::madvise(chunk.data, kChunkBytes, MADV_DONTDUMP);
  ::madvise(chunk.data, kChunkBytes, MADV_DONTFORK);
  return chunk;
}

std::size_t class_of(std::size_t size) {
  const std::size_t block = std::bit_ceil(std::max(size, kSmallest));
  return static_cast<std::size_t>(std::countr_zero(block) - std::countr_zero(kSmallest));
}

class Arena {
 public:
  std::uint8_t* allocate(std::size_t size) {
    const std::size_t kind = class_of(size);
    const std::lock_guard lock(mutex_);
    std::uint8_t*& head = free_.at(kind);
    if (head == nullptr) return cut(kSmallest << kind);
    std::uint8_t* block = head;
    std::memcpy(static_cast<void*>(&head), block, kLinkBytes);
    std::memset(block, 0, kLinkBytes);
    return block;
  }

  void free(std::uint8_t* block, std::size_t size) {
    const std::size_t kind = class_of(size);
    ::explicit_bzero(block, kSmallest << kind);
    const std::lock_guard lock(mutex_);
    std::uint8_t*& head = free_.at(kind);
    std::memcpy(block, static_cast<const void*>(&head), kLinkBytes);
    head = block;
  }

  SecretMemory weakest() {
    const std::lock_guard lock(mutex_);
    if (next_ == nullptr) grow();
    return weakest_;
  }

 private:
  // The rest of a chunk that is too short for `bytes` stays unused: at most half of a block.
  std::uint8_t* cut(std::size_t bytes) {
    if (next_ == nullptr || static_cast<std::size_t>(end_ - next_) < bytes) grow();
    return std::exchange(next_, next_ + bytes);
  }

  void grow() {
    const Chunk chunk = map_chunk();
    next_ = chunk.data;
    end_ = chunk.data + kChunkBytes;
    weakest_ = std::max(weakest_, chunk.kind);
  }

  std::mutex mutex_;
  std::array<std::uint8_t*, kClasses> free_{};  // the first free block of each size; it holds the next one
  std::uint8_t* next_ = nullptr;                // never used so far
  std::uint8_t* end_ = nullptr;
  SecretMemory weakest_ = SecretMemory::hidden;
};

// Never destroyed: secrets of other static objects may outlive any order of destruction.
Arena& arena() {
  static Arena* const only = new Arena;
  return *only;
}

}  // namespace

std::string_view secret_memory_name(SecretMemory kind) {
  switch (kind) {
    case SecretMemory::hidden:
      return "hidden from the kernel";
    case SecretMemory::locked:
      return "locked";
    case SecretMemory::unlocked:
      return "not locked";
  }
  return "";
}

SecretMemory secret_memory_kind() { return arena().weakest(); }

std::uint8_t* arena_allocate(std::size_t size) { return arena().allocate(size); }

void arena_free(std::uint8_t* block, std::size_t size) { arena().free(block, size); }

}  // namespace proplet
