#include "attestation/event_log.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "attestation/little_endian.h"

namespace proplet::attestation {
namespace {

constexpr const char* kFirmwareLog = "/sys/firmware/acpi/tables/data/CCEL";
constexpr const char* kAgentLog = "/run/attestation-agent/eventlog";
constexpr std::size_t kMaxLogBytes = std::size_t{1} << 20;
constexpr std::size_t kMarkerBytes = 8;

constexpr std::size_t kFirstEventHead = 32;  // register, type, a SHA-1 digest, size
constexpr std::string_view kSpecId{"Spec ID Event03\0", 16};
constexpr std::size_t kAlgorithmsOffset = 24;  // in that event: behind the signature, the class and four bytes

// Digest bytes by algorithm.
using Algorithms = std::map<std::uint16_t, std::size_t>;

class Cursor {
 public:
  explicit Cursor(ByteView bytes) : bytes_(bytes) {}

  template <std::unsigned_integral Integer>
  std::optional<Integer> integer() {
    if (bytes_.size() - offset_ < sizeof(Integer)) return std::nullopt;
    const auto value = little_endian<Integer>(bytes_, offset_);
    offset_ += sizeof(Integer);
    return value;
  }
  bool skip(std::size_t count) {
    if (bytes_.size() - offset_ < count) return false;
    offset_ += count;
    return true;
  }
  [[nodiscard]] bool at_marker() const {
    if (bytes_.size() - offset_ < kMarkerBytes) return true;
    const ByteView next = bytes_.subspan(offset_, kMarkerBytes);
    const auto only = [&](std::uint8_t byte) { return std::ranges::all_of(next, [&](auto b) { return b == byte; }); };
    return only(0) || only(0xFF);
  }
  [[nodiscard]] std::size_t offset() const { return offset_; }

 private:
  ByteView bytes_;
  std::size_t offset_ = 0;
};

std::optional<Algorithms> read_algorithms(ByteView event) {
  if (!text_of(event).starts_with(kSpecId)) return std::nullopt;
  Cursor cursor(event);
  if (!cursor.skip(kAlgorithmsOffset)) return std::nullopt;
  const auto count = cursor.integer<std::uint32_t>();
  if (!count || *count > 16) return std::nullopt;
  Algorithms algorithms;
  for (std::uint32_t i = 0; i < *count; ++i) {
    const auto id = cursor.integer<std::uint16_t>();
    const auto size = cursor.integer<std::uint16_t>();
    if (!id || !size) return std::nullopt;
    algorithms[*id] = *size;
  }
  return algorithms;
}

bool skip_event(Cursor& cursor, const Algorithms& algorithms) {
  if (!cursor.skip(8)) return false;  // register, type
  const auto digests = cursor.integer<std::uint32_t>();
  if (!digests || *digests > algorithms.size()) return false;
  for (std::uint32_t i = 0; i < *digests; ++i) {
    const auto id = cursor.integer<std::uint16_t>();
    if (!id) return false;
    const auto algorithm = algorithms.find(*id);
    if (algorithm == algorithms.end() || !cursor.skip(algorithm->second)) return false;
  }
  const auto size = cursor.integer<std::uint32_t>();
  return size && cursor.skip(*size);
}

}  // namespace

std::size_t event_log_length(ByteView log) {
  if (log.size() < kFirstEventHead) return 0;
  const std::size_t first_size = little_endian<std::uint32_t>(log, kFirstEventHead - 4);
  if (first_size > log.size() - kFirstEventHead) return 0;
  const auto algorithms = read_algorithms(log.subspan(kFirstEventHead, first_size));
  if (!algorithms) return 0;
  Cursor cursor(log);
  if (!cursor.skip(kFirstEventHead + first_size)) return 0;
  std::size_t end = cursor.offset();
  while (!cursor.at_marker() && skip_event(cursor, *algorithms)) end = cursor.offset();
  return end;
}

std::optional<Bytes> td_event_log(GuestFiles& files) {
  auto log = files.read(kFirmwareLog, kMaxLogBytes);
  if (!log) return std::nullopt;
  log->resize(event_log_length(*log));
  if (log->empty()) return std::nullopt;
  if (const auto more = files.read(kAgentLog, kMaxLogBytes)) log->insert(log->end(), more->begin(), more->end());
  log->insert(log->end(), kMarkerBytes, 0xFF);
  return *std::move(log);
}

}  // namespace proplet::attestation
