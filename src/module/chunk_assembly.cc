#include "module/chunk_assembly.h"

#include <algorithm>
#include <utility>

namespace proplet::module {

Result<ChunkAssembly::Outcome> ChunkAssembly::add(std::uint32_t index, std::uint32_t total, Bytes data) {
  Outcome outcome = Outcome::progress;
  if (contradicts(index, total, data)) {
    clear();
    outcome = Outcome::restarted;
  }
  total_ = total;
  ++arrivals_;
  if (const auto known = pieces_.find(index); known != pieces_.end()) {
    const bool confirms = full() && known->second.last_arrival <= full_since_;
    known->second.last_arrival = arrivals_;
    return confirms ? Outcome::progress : Outcome::known;
  }
  if (data.size() > max_bytes_ - bytes_) {
    return fail(Code::size_limit, "the chunks hold more than {} bytes", max_bytes_);
  }
  bytes_ += data.size();
  pieces_.emplace(index, Piece{.data = std::move(data), .last_arrival = arrivals_});
  if (full()) full_since_ = arrivals_;
  return outcome;
}

void ChunkAssembly::clear() {
  pieces_.clear();
  total_ = 0;
  bytes_ = 0;
}

bool ChunkAssembly::contradicts(std::uint32_t index, std::uint32_t total, ByteView data) const {
  if (pieces_.empty()) return false;
  if (total != total_) return true;
  const auto known = pieces_.find(index);
  return known != pieces_.end() && !std::ranges::equal(known->second.data, data);
}

bool ChunkAssembly::in_order() const {
  return std::ranges::is_sorted(pieces_, {}, [](const auto& piece) { return piece.second.last_arrival; });
}

bool ChunkAssembly::complete() const {
  if (!full()) return false;
  return in_order() ||
         std::ranges::all_of(pieces_, [this](const auto& piece) { return piece.second.last_arrival > full_since_; });
}

SecretBytes ChunkAssembly::join() const {
  SecretBytes image(bytes_);
  auto out = image.mutable_view().begin();
  for (const auto& [index, piece] : pieces_) out = std::ranges::copy(piece.data, out).out;
  return image;
}

}  // namespace proplet::module
