#include "base/record_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

namespace proplet {
namespace {

// File: kFileHeader, then records. Record: marker, state, three zero bytes, length of the body and CRC-32 of length and
// body (both 32 bits, little endian), body. The state is outside the checksum, as it changes.
constexpr std::uint8_t kVersion = 1;
constexpr std::array<std::uint8_t, 8> kFileHeader = {0xFF, 'P', 'R', 'P', 'L', 'R', 'F', kVersion};
// 0xFF is in no UTF-8 text, so that no text in a body can pass for the beginning of a record.
constexpr std::array<std::uint8_t, 4> kMarker = {0xFF, 'r', 'c', 0xFF};
constexpr std::size_t kStateAt = 4;
constexpr std::size_t kLengthAt = 8;
constexpr std::size_t kChecksumAt = 12;
constexpr std::size_t kHeaderBytes = 16;
constexpr std::size_t kWindow = std::size_t{64} << 10;
// A file in which nothing is open is emptied from this size on; less is not worth a call for each task.
constexpr std::uint64_t kEmptyFrom = std::uint64_t{256} << 10;

using Header = std::array<std::uint8_t, kHeaderBytes>;

std::string reason() { return std::generic_category().message(errno); }

void put32(MutableByteView out, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

std::uint32_t get32(ByteView in) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value |= std::uint32_t{in[i]} << (8 * i);
  return value;
}

std::uint32_t checksum(ByteView length, ByteView body) {
  auto sum = ::crc32_z(0, length.data(), length.size());
  if (!body.empty()) sum = ::crc32_z(sum, body.data(), body.size());  // zlib gives null a meaning of its own
  return static_cast<std::uint32_t>(sum);
}

// As many bytes as there are, up to the size of `out`.
Result<std::size_t> read_at(int file, std::uint64_t offset, MutableByteView out) {
  std::size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t count = ::pread(file, out.data() + filled, out.size() - filled, static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(Code::io_failed, "cannot read: {}", reason());
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  return filled;
}

Status write_at(int file, std::uint64_t offset, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(Code::io_failed, "cannot write: {}", reason());
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Bytes encode(std::uint8_t state, ByteView body) {
  Bytes record(kHeaderBytes + body.size());
  const MutableByteView header(record);
  std::ranges::copy(kMarker, record.begin());
  record[kStateAt] = state;
  put32(header.subspan(kLengthAt, 4), static_cast<std::uint32_t>(body.size()));
  put32(header.subspan(kChecksumAt, 4), checksum(header.subspan(kLengthAt, 4), body));
  std::ranges::copy(body, record.begin() + kHeaderBytes);
  return record;
}

void sync_folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
  const UniqueFd file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.valid()) ::fsync(file.get());
}

}  // namespace

RecordFile::RecordFile(std::string path, RecordFileLimits limits, UniqueFd file)
    : path_(std::move(path)), limits_(limits), file_(std::move(file)), compact_at_(limits.slack_bytes) {}

Result<std::unique_ptr<RecordFile>> RecordFile::open(std::string path, RecordFileLimits limits,
                                                     const std::function<void(Record)>& visit) {
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  struct stat status{};
  if (!file.valid() || ::fstat(file.get(), &status) != 0) {
    return fail(Code::io_failed, "cannot open {}: {}", path, reason());
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  std::unique_ptr<RecordFile> records(new RecordFile(std::move(path), limits, std::move(file)));
  auto read = records->read_file_header(size);
  if (read) read = records->read_records(size, visit);
  if (!read) return fail(std::move(read).error().because(records->path_));
  return records;
}

// A file whose making was cut short counts as new.
Status RecordFile::read_file_header(std::uint64_t size) {
  std::array<std::uint8_t, kFileHeader.size()> header{};
  TRY_ASSIGN(const auto count, read_at(file_.get(), 0, header));
  if (!std::equal(header.begin(), header.begin() + static_cast<std::ptrdiff_t>(std::min(count, header.size() - 1)),
                  kFileHeader.begin())) {
    return fail(Code::state_unusable, "this is not a file of records");
  }
  if (size < kFileHeader.size()) return write_at(file_.get(), 0, kFileHeader);
  if (header.back() != kVersion) {
    return fail(Code::state_unusable, "the file has format {}; this version reads format {}", header.back(), kVersion);
  }
  return {};
}

Status RecordFile::read_records(std::uint64_t size, const std::function<void(Record)>& visit) {
  end_ = kFileHeader.size();
  for (std::uint64_t offset = end_; offset < size;) {
    Record record;
    TRY_ASSIGN(const std::uint64_t bytes, read_record(offset, size, record));
    if (bytes == 0) {
      TRY_ASSIGN(const std::uint64_t next, find_marker(offset + 1, size));
      damaged_bytes_ += next - offset;
      offset = next;
      continue;
    }
    record.number = ++last_;
    if (record.state != kClosed) {
      open_.emplace(record.number, Place{offset, bytes});
      open_bytes_ += bytes;
      visit(std::move(record));
    }
    offset += bytes;
    end_ = offset;
  }
  // Behind the last good record there is nothing to keep.
  if (end_ < size && ::ftruncate(file_.get(), static_cast<off_t>(end_)) != 0) {
    return fail(Code::io_failed, "cannot cut off a torn end: {}", reason());
  }
  return {};
}

// The size of the record at `offset`, 0 if there is none or it is damaged.
Result<std::uint64_t> RecordFile::read_record(std::uint64_t offset, std::uint64_t size, Record& record) const {
  Header header{};
  TRY_ASSIGN(const auto count, read_at(file_.get(), offset, header));
  if (count < header.size() || !std::equal(kMarker.begin(), kMarker.end(), header.begin())) return 0;
  const ByteView view(header);
  const std::uint64_t length = get32(view.subspan(kLengthAt, 4));
  if (length > size - offset - kHeaderBytes) return 0;
  record.state = header.at(kStateAt);
  record.body.resize(length);
  TRY_ASSIGN(const auto read, read_at(file_.get(), offset + kHeaderBytes, record.body));
  if (read < length) return 0;
  const bool intact = checksum(view.subspan(kLengthAt, 4), record.body) == get32(view.subspan(kChecksumAt, 4));
  return intact ? kHeaderBytes + length : 0;
}

// The next place that may be a record; the end of the file if there is none.
Result<std::uint64_t> RecordFile::find_marker(std::uint64_t offset, std::uint64_t size) const {
  Bytes window(kWindow);
  while (offset < size) {
    TRY_ASSIGN(const auto count, read_at(file_.get(), offset, window));
    const auto end = window.begin() + static_cast<std::ptrdiff_t>(count);
    const auto found = std::search(window.begin(), end, kMarker.begin(), kMarker.end());
    if (found != end) return offset + static_cast<std::uint64_t>(found - window.begin());
    if (count < window.size()) break;
    offset += count - (kMarker.size() - 1);
  }
  return size;
}

Result<RecordFile::Number> RecordFile::append(std::uint8_t state, ByteView body) {
  if (end_ >= compact_at_ && end_ > (2 * open_bytes_) + limits_.slack_bytes) {
    // A failure leaves the file as it was, only large.
    if (!compact()) compact_at_ = end_ + limits_.slack_bytes;
  }
  const Bytes record = encode(state, body);
  if (end_ + record.size() > limits_.file_bytes) {
    return fail(Code::size_limit, "{}: a record of {} bytes would exceed the limit of {}", path_, record.size(),
                limits_.file_bytes);
  }
  if (auto written = write_at(file_.get(), end_, record); !written) {
    // Half a record must not stay; if it does, it is passed over as damaged or overwritten by the next.
    if (::ftruncate(file_.get(), static_cast<off_t>(end_)) != 0) return fail(written.error());
    return fail(std::move(written).error().because(path_));
  }
  open_.emplace(++last_, Place{end_, record.size()});
  open_bytes_ += record.size();
  end_ += record.size();
  return last_;
}

Status RecordFile::set_state(Number number, std::uint8_t state) {
  const auto place = open_.find(number);
  if (place == open_.end()) return {};
  auto written = write_at(file_.get(), place->second.offset + kStateAt, ByteView(&state, 1));
  if (state == kClosed) {
    open_bytes_ -= place->second.bytes;
    open_.erase(place);
    if (open_.empty() && end_ >= kEmptyFrom) return empty();
  }
  if (!written) return fail(std::move(written).error().because(path_));
  return {};
}

Status RecordFile::empty() {
  if (::ftruncate(file_.get(), static_cast<off_t>(kFileHeader.size())) != 0) {
    return fail(Code::io_failed, "{}: cannot truncate: {}", path_, reason());
  }
  end_ = kFileHeader.size();
  compact_at_ = limits_.slack_bytes;
  return {};
}

Status RecordFile::compact() {
  if (open_.empty()) return empty();
  const std::string temporary = path_ + ".new";
  auto file = write_open_records(temporary);
  if (file && ::rename(temporary.c_str(), path_.c_str()) != 0) {
    file = fail(Code::io_failed, "cannot rename to {}: {}", path_, reason());
  }
  if (!file) {
    ::unlink(temporary.c_str());
    return fail(std::move(file).error());
  }
  sync_folder_of(path_);
  file_ = *std::move(file);
  end_ = kFileHeader.size();
  for (auto& [number, place] : open_) place.offset = std::exchange(end_, end_ + place.bytes);
  compact_at_ = limits_.slack_bytes;
  return {};
}

Result<UniqueFd> RecordFile::write_open_records(const std::string& path) {
  ::unlink(path.c_str());  // of a process that died here
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return fail(Code::io_failed, "cannot create {}: {}", path, reason());
  TRY(write_at(file.get(), 0, kFileHeader));
  std::uint64_t end = kFileHeader.size();
  Bytes record;
  for (const auto& [number, place] : open_) {
    record.resize(place.bytes);
    TRY_ASSIGN(const auto count, read_at(file_.get(), place.offset, record));
    if (count < record.size()) return fail(Code::io_failed, "{} is shorter than it was", path_);
    TRY(write_at(file.get(), end, record));
    end += record.size();
  }
  if (::fdatasync(file.get()) != 0) return fail(Code::io_failed, "cannot sync {}: {}", path, reason());
  return file;
}

}  // namespace proplet
