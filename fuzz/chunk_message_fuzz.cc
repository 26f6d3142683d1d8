// Chunks from a proxy: what is accepted is in range and reads back the same, and a glance never contradicts the
// reading.
#include "fuzz.h"
#include "propeller/chunk_message.h"

namespace propeller = proplet::propeller;
using proplet::fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const proplet::ByteView payload(data, size);
  const auto glance = propeller::peek_app_name(payload);
  const auto chunk = propeller::parse_chunk(payload, std::size_t{1} << 20);
  if (!chunk) return 0;
  check(chunk->index < chunk->total && chunk->total <= propeller::kMaxChunks, "an index is below its total");
  check(!chunk->app_name.empty() && !chunk->data_base64.empty(), "a chunk has a name and data");
  check(!glance || *glance == chunk->app_name, "the glance saw the name that counts");
  const std::string text = propeller::encode(*chunk);
  const auto again = propeller::parse_chunk(proplet::bytes_of(text), std::size_t{16} << 20);
  check(again && again->app_name == chunk->app_name && again->index == chunk->index && again->total == chunk->total &&
            again->data_base64 == chunk->data_base64,
        "a chunk we write says the same");
  return 0;
}
