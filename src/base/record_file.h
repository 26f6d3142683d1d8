// RecordFile keeps records in one file, for a process that must find them again after it was killed.
//
// Records are appended with one write() each and have a state byte that is changed in place, so that closing a record
// needs no room on a full disk. The kernel has what was written as soon as a call returns: it survives the death of the
// process. Nothing waits for the disk, so a power cut may take the last seconds; what the disk has is told apart by
// checksums then. A torn end is cut off, a damaged record is passed over and counted. Closed records are given up when
// they make the file large: by truncation if nothing is open, else by writing the open ones to a new file (synced and
// renamed, so that a power cut leaves one or the other).
//
// Not thread-safe. The file belongs to one process; whoever opens it makes sure of that.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/result.h"

namespace proplet {

struct RecordFileLimits {
  std::uint64_t slack_bytes = std::uint64_t{16} << 20;  // beyond twice the open records, the file is written anew
  std::uint64_t file_bytes = std::uint64_t{512} << 20;  // more is not appended
};

class RecordFile {
 public:
  using Number = std::uint64_t;  // never 0; grows with every record of this object
  static constexpr std::uint8_t kClosed = 0;

  struct Record {
    Number number = 0;
    std::uint8_t state = 0;
    Bytes body;
  };

  // Opens or makes the file and hands every open record to `visit`, oldest first. IO_FAILED; STATE_UNUSABLE if the
  // file has another format or is of a newer version, and is left as it is.
  static Result<std::unique_ptr<RecordFile>> open(std::string path, RecordFileLimits limits,
                                                  const std::function<void(Record)>& visit);

  // Not written at all if it fails: IO_FAILED, SIZE_LIMIT. `state` is not kClosed.
  Result<Number> append(std::uint8_t state, ByteView body);
  // kClosed ends the record. Unknown numbers are ignored. IO_FAILED.
  Status set_state(Number number, std::uint8_t state);

  // Found damaged when the file was opened.
  [[nodiscard]] std::uint64_t damaged_bytes() const { return damaged_bytes_; }
  [[nodiscard]] std::uint64_t file_bytes() const { return end_; }

 private:
  struct Place {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;  // header and body
  };

  RecordFile(std::string path, RecordFileLimits limits, UniqueFd file);
  Status read_file_header(std::uint64_t size);
  Status read_records(std::uint64_t size, const std::function<void(Record)>& visit);
  Result<std::uint64_t> read_record(std::uint64_t offset, std::uint64_t size, Record& record) const;
  Result<std::uint64_t> find_marker(std::uint64_t offset, std::uint64_t size) const;
  Status empty();
  Status compact();
  Result<UniqueFd> write_open_records(const std::string& path);

  std::string path_;
  RecordFileLimits limits_;
  UniqueFd file_;
  std::map<Number, Place> open_;
  Number last_ = 0;
  std::uint64_t open_bytes_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t compact_at_ = 0;  // size of the file from which on compaction is worth a try
  std::uint64_t damaged_bytes_ = 0;
};

}  // namespace proplet
