// Archives inside image layers: tar (POSIX pax, ustar, GNU long names), in memory only.
//
// Layers may hold confidential plaintext, so nothing here touches a file system and every buffer is wiped. Input is
// hostile: sizes are bounded, and a name is only ever compared, never used as a path.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret_bytes.h"

namespace proplet::module {

// Reads the entries of one tar archive in order. Borrows the archive.
class TarReader {
 public:
  struct Entry {
    std::string name;  // normalised: no leading "/" or "./"
    ByteView content;
    bool regular = true;  // false: a link, folder, device or pipe, which has a name only
  };

  explicit TarReader(ByteView archive) : archive_(archive) {}
  // The next entry, or nothing at the end. A name with ".." or a zero byte, a bad checksum, a size beyond the archive,
  // and whatever readers are known to disagree about (sparse files, links with content, global pax sizes) is
  // FORMAT_INVALID.
  Result<std::optional<Entry>> next();

 private:
  struct Header;
  Result<std::optional<Header>> read_header();
  Status apply_pax(ByteView records, bool global);

  ByteView archive_;
  std::size_t offset_ = 0;
  std::optional<std::string> next_name_;    // from a pax or GNU long name entry
  std::optional<std::uint64_t> next_size_;  // from a pax entry
};

// The module in a stack of tar layers (lowest first), as the "compat" image variant defines it: `entry_point` if it
// names a .wasm file, else module.wasm, else plugin.wasm, else the only .wasm file of the root folder. Later layers
// replace files of earlier ones and remove them by whiteouts (.wh.name, .wh..wh..opq). MODULE_INVALID if there is none
// or no single one.
Result<SecretBytes> find_module_in_layers(const std::vector<SecretBytes>& layers,
                                          const std::optional<std::string>& entry_point);

}  // namespace proplet::module
