#include "base/secret_bytes.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/secret_arena.h"

namespace proplet {
namespace {

constexpr std::size_t kHugePageThreshold = std::size_t{4} << 20;  // bytes; below it huge pages only waste memory

std::size_t whole_pages(std::size_t size) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (size + page - 1) / page * page;
}

}  // namespace

bool equal_constant_time(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  volatile std::uint8_t difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference = difference | (a[i] ^ b[i]);
  return difference == 0;
}

void wipe(MutableByteView bytes) {
  if (!bytes.empty()) ::explicit_bzero(bytes.data(), bytes.size());
}

void wipe(std::string& text) {
  if (!text.empty()) ::explicit_bzero(text.data(), text.size());
  text.clear();
}

SecretBytes::SecretBytes(std::size_t size) : size_(size) {
  if (size == 0) return;
  if (size <= kArenaLimit) {
    data_ = arena_allocate(size);
    mapped_ = size;  // less than a page, which tells the two kinds apart
    return;
  }
  mapped_ = whole_pages(size);
  void* pages = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) std::abort();
  data_ = static_cast<std::uint8_t*>(pages);
  ::madvise(pages, mapped_, MADV_DONTDUMP);
  ::madvise(pages, mapped_, MADV_DONTFORK);
  if (mapped_ >= kHugePageThreshold) ::madvise(pages, mapped_, MADV_HUGEPAGE);
  // Best effort: RLIMIT_MEMLOCK may be small. Inside a TEE there is no swap that the host could read in clear.
  ::mlock2(pages, mapped_, MLOCK_ONFAULT);
}

SecretBytes SecretBytes::copy_of(ByteView bytes) {
  SecretBytes copy(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.data_, bytes.data(), bytes.size());
  return copy;
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this == &other) return *this;
  reset();
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  mapped_ = std::exchange(other.mapped_, 0);
  return *this;
}

void SecretBytes::truncate(std::size_t size) {
  if (size > size_) std::abort();
  wipe({data_ + size, size_ - size});
  size_ = size;
}

void SecretBytes::reset() {
  if (data_ == nullptr) {
    size_ = 0;
    return;
  }
  if (mapped_ <= kArenaLimit) {
    arena_free(data_, mapped_);
  } else {
    ::explicit_bzero(data_, size_);
    ::munmap(data_, mapped_);
  }
  data_ = nullptr;
  size_ = mapped_ = 0;
}

}  // namespace proplet
