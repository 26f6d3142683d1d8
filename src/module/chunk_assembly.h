// A ChunkAssembly turns the chunks of one image into its bytes, and never makes one image out of two.
//
// Chunks carry no version: when an image changes between two deliveries, only their bytes tell. A chunk that
// contradicts (another total, other bytes under an index that is there) therefore begins a new assembly. Agreement
// proves less: a hole of the old delivery could be filled from the new one. A proxy, though, sends the chunks of one
// delivery in order, and one delivery after the other. So the chunks are one image when the last arrival of each comes
// after that of the one before it, or when all have arrived again since none was missing, and agreed; until then a full
// assembly waits for more. Chunks are lost only between connections: whoever connects anew clears the assembly. Not
// synchronised.
#pragma once

#include <cstdint>
#include <map>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret_bytes.h"

namespace proplet::module {

class ChunkAssembly {
 public:
  enum class Outcome : std::uint8_t {
    known,      // taught us nothing
    progress,   // a new chunk, or the first confirmation of one in a full assembly
    restarted,  // contradicted what was there, which is gone
  };

  // `max_bytes` bounds the image.
  explicit ChunkAssembly(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // `index` is below `total`, `data` not empty. SIZE_LIMIT.
  Result<Outcome> add(std::uint32_t index, std::uint32_t total, Bytes data);
  void clear();

  // Every chunk is there, perhaps not of one image.
  [[nodiscard]] bool full() const { return total_ > 0 && pieces_.size() == total_; }
  // Every chunk is there, and all are of one image.
  [[nodiscard]] bool complete() const;
  // The image; only of a complete assembly.
  [[nodiscard]] SecretBytes join() const;

  [[nodiscard]] std::size_t received() const { return pieces_.size(); }
  [[nodiscard]] std::uint32_t total() const { return total_; }
  // Memory that the chunks take, with what the book-keeping adds to each.
  [[nodiscard]] std::size_t held_bytes() const { return bytes_ + pieces_.size() * kPieceOverhead; }

 private:
  static constexpr std::size_t kPieceOverhead = 128;

  struct Piece {
    Bytes data;
    std::uint64_t last_arrival = 0;
  };

  [[nodiscard]] bool contradicts(std::uint32_t index, std::uint32_t total, ByteView data) const;
  [[nodiscard]] bool in_order() const;

  std::size_t max_bytes_;
  std::map<std::uint32_t, Piece> pieces_;
  std::uint32_t total_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t arrivals_ = 0;
  std::uint64_t full_since_ = 0;  // the arrival that made it full
};

}  // namespace proplet::module
