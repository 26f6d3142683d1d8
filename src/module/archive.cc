#include "module/archive.h"

#include <algorithm>
#include <map>

namespace proplet::module {
namespace {

constexpr std::size_t kBlock = 512;              // bytes of a tar block
constexpr std::size_t kMaxName = 4096;           // bytes of a long name
constexpr std::size_t kMaxPaxRecords = 1 << 20;  // bytes of one pax header
constexpr std::size_t kMaxFiles = 65536;         // .wasm files we keep track of

// Numbers in tar headers: octal text, or big-endian binary when the first bit is set (GNU).
Result<std::uint64_t> tar_number(ByteView field) {
  std::uint64_t number = 0;
  if ((field[0] & 0x80) != 0) {
    for (std::size_t i = 0; i < field.size(); ++i) {
      if (number >> 55 != 0) return fail(Code::format_invalid, "tar: number out of range");
      number = number << 8 | (i == 0 ? field[i] & 0x7fU : field[i]);
    }
    return number;
  }
  std::string_view text = text_of(field);
  text = text.substr(0, text.find('\0'));
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  for (const char digit : text) {
    if (digit < '0' || digit > '7' || number >> 60 != 0) return fail(Code::format_invalid, "tar: bad octal number");
    number = number * 8 + static_cast<std::uint64_t>(digit - '0');
  }
  return number;
}

bool checksum_matches(ByteView block, std::uint64_t expected) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) sum += i >= 148 && i < 156 ? ' ' : block[i];
  return sum == expected;
}

std::string field_text(ByteView field) {
  const std::string_view text = text_of(field);
  return std::string(text.substr(0, text.find('\0')));
}

Result<std::string> normalised(const std::string& name) {
  if (name.find('\0') != std::string::npos) return fail(Code::format_invalid, "tar: a name contains a zero byte");
  std::string clean;
  std::size_t start = 0;
  while (start <= name.size()) {
    const std::size_t end = std::min(name.find('/', start), name.size());
    const std::string part = name.substr(start, end - start);
    if (part == "..") return fail(Code::format_invalid, "tar: a name contains '..'");
    if (!part.empty() && part != ".") clean += (clean.empty() ? "" : "/") + part;
    start = end + 1;
  }
  return clean;
}

bool all_zero(ByteView block) {
  return std::ranges::all_of(block, [](std::uint8_t byte) { return byte == 0; });
}

using Files = std::map<std::string, ByteView>;

// Costs what it removes, not what there is: an archive may hold a hundred thousand whiteouts.
void remove_below(Files& files, const std::string& folder) {
  const std::string prefix = folder.empty() ? "" : folder + "/";
  const auto first = files.lower_bound(prefix);
  auto last = first;
  while (last != files.end() && last->first.starts_with(prefix)) ++last;
  files.erase(first, last);
}

// Applies one entry of a higher layer to what the lower layers gave (OCI image specification, "Whiteouts").
Status apply_entry(Files& lower, Files& own, const TarReader::Entry& entry) {
  const std::size_t slash = entry.name.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : entry.name.substr(0, slash);
  const std::string base = slash == std::string::npos ? entry.name : entry.name.substr(slash + 1);
  if (base == ".wh..wh..opq") {
    remove_below(lower, folder);
  } else if (base == ".wh.") {
    return fail(Code::format_invalid, "tar: a whiteout names nothing");
  } else if (base.starts_with(".wh.")) {
    const std::string target = (folder.empty() ? "" : folder + "/") + base.substr(4);
    lower.erase(target);
    remove_below(lower, target);
  } else {
    // A link or folder hides a file of its name as another file would; it is no module itself.
    lower.erase(entry.name);
    own.erase(entry.name);
    if (entry.regular && entry.name.ends_with(".wasm")) own[entry.name] = entry.content;
  }
  return {};
}

Result<Files> wasm_files(const std::vector<SecretBytes>& layers) {
  Files files;
  for (const auto& layer : layers) {
    TarReader reader(layer.view());
    Files own;
    while (true) {
      TRY_ASSIGN(const auto entry, reader.next());
      if (!entry) break;
      TRY(apply_entry(files, own, *entry));
      if (files.size() + own.size() > kMaxFiles) return fail(Code::size_limit, "image has too many .wasm files");
    }
    files.merge(own);
  }
  return files;
}

Result<std::string> choose(const Files& files, const std::optional<std::string>& entry_point) {
  if (entry_point && entry_point->ends_with(".wasm")) {
    if (entry_point->size() > kMaxName) return fail(Code::module_invalid, "the image's entry point is too long");
    TRY_ASSIGN(std::string name, normalised(*entry_point));
    if (!files.contains(name))
      return fail(Code::module_invalid, "image has no file {} that its entry point names", name);
    return name;
  }
  for (const auto* name : {"module.wasm", "plugin.wasm"}) {
    if (files.contains(name)) return std::string(name);
  }
  std::vector<std::string> in_root;
  for (const auto& [name, content] : files) {
    if (name.find('/') == std::string::npos) in_root.push_back(name);
  }
  if (in_root.size() != 1) {
    return fail(Code::module_invalid, "image has {} .wasm files in its root folder and none named module.wasm",
                in_root.size());
  }
  return in_root.front();
}

}  // namespace

struct TarReader::Header {
  char type;
  std::string name;
  std::uint64_t size;
};

Result<std::optional<TarReader::Header>> TarReader::read_header() {
  if (offset_ == archive_.size()) return std::optional<Header>();
  if (archive_.size() - offset_ < kBlock) return fail(Code::format_invalid, "tar: truncated header");
  const ByteView block = archive_.subspan(offset_, kBlock);
  if (all_zero(block)) return std::optional<Header>();
  TRY_ASSIGN(const std::uint64_t checksum, tar_number(block.subspan(148, 8)));
  if (!checksum_matches(block, checksum)) return fail(Code::format_invalid, "tar: bad header checksum");
  TRY_ASSIGN(const std::uint64_t size, tar_number(block.subspan(124, 12)));
  Header header{static_cast<char>(block[156]), field_text(block.first(100)), size};
  const bool is_ustar = text_of(block.subspan(257, 5)) == "ustar";
  const bool is_gnu = text_of(block.subspan(257, 8)) == std::string_view("ustar  \0", 8);
  if (const std::string prefix = field_text(block.subspan(345, 155)); is_ustar && !is_gnu && !prefix.empty()) {
    header.name = prefix + "/" + header.name;
  }
  offset_ += kBlock;
  return std::optional<Header>(std::move(header));
}

// What a header alone says, without content: links, devices, folders, pipes.
bool has_no_content(char type) { return type >= '1' && type <= '6'; }

// Whether content follows a header, and how much, is where readers have disagreed (CVE-2025-62518), which lets one
// archive be two. What they disagree about is refused.
Status check_kind(char type, std::uint64_t size) {
  if (type == 'S') return fail(Code::format_invalid, "tar: sparse files are not supported");
  if (has_no_content(type) && size != 0) return fail(Code::format_invalid, "tar: a link or folder has content");
  return {};
}

// Records of the form "<length> <key>=<value>\n"; only path and size matter here (POSIX.1-2001, pax).
Status TarReader::apply_pax(ByteView records, bool global) {
  std::string_view text = text_of(records);
  while (!text.empty()) {
    std::size_t length = 0;
    std::size_t digits = 0;
    while (digits < text.size() && digits < 8 && text[digits] >= '0' && text[digits] <= '9') {
      length = length * 10 + static_cast<std::size_t>(text[digits++] - '0');
    }
    const bool well_formed = digits > 0 && digits < text.size() && text[digits] == ' ' && length > digits + 2 &&
                             length <= text.size() && text[length - 1] == '\n';
    if (!well_formed) return fail(Code::format_invalid, "tar: malformed pax record");
    const std::string_view record = text.substr(digits + 1, length - digits - 2);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) return fail(Code::format_invalid, "tar: malformed pax record");
    const std::string_view key = record.substr(0, equals);
    const std::string_view value = record.substr(equals + 1);
    // Readers differ about these: whether a global one counts, and where a sparse file's content begins.
    if ((global && (key == "path" || key == "size")) || key.starts_with("GNU.sparse.")) {
      return fail(Code::format_invalid, "tar: unsupported pax record");
    }
    if (key == "path") next_name_ = std::string(value);
    if (key == "size") {
      std::uint64_t size = 0;
      for (const char digit : value) {
        if (digit < '0' || digit > '9' || size >> 56 != 0) return fail(Code::format_invalid, "tar: bad pax size");
        size = size * 10 + static_cast<std::uint64_t>(digit - '0');
      }
      next_size_ = size;
    }
    text.remove_prefix(length);
  }
  return {};
}

Result<std::optional<TarReader::Entry>> TarReader::next() {
  while (true) {
    TRY_ASSIGN(auto header, read_header());
    if (!header) return std::optional<Entry>();
    const bool describes_next =
        header->type == 'x' || header->type == 'L' || header->type == 'K' || header->type == 'g';
    // The one effective size counts for this entry's content and for where the next header is (CVE-2025-62518).
    const std::uint64_t size = describes_next ? header->size : next_size_.value_or(header->size);
    if (size > archive_.size() - offset_) return fail(Code::format_invalid, "tar: an entry is larger than the archive");
    const ByteView content = archive_.subspan(offset_, static_cast<std::size_t>(size));
    const std::size_t padded = (content.size() + kBlock - 1) / kBlock * kBlock;
    offset_ += std::min(padded, archive_.size() - offset_);
    if (describes_next) {
      if (content.size() > kMaxPaxRecords) return fail(Code::format_invalid, "tar: oversized extended header");
      if (header->type == 'x' || header->type == 'g') TRY(apply_pax(content, header->type == 'g'));
      if (header->type == 'L') next_name_ = field_text(content);
      continue;
    }
    TRY(check_kind(header->type, size));
    const std::string name = next_name_.value_or(header->name);
    next_name_.reset();
    next_size_.reset();
    if (name.size() > kMaxName) return fail(Code::format_invalid, "tar: a name is longer than {} bytes", kMaxName);
    // Before POSIX a folder was a file whose name ends so.
    const bool regular = (header->type == '0' || header->type == '\0') && !name.ends_with('/');
    TRY_ASSIGN(std::string clean, normalised(name));
    return std::optional<Entry>(Entry{std::move(clean), content, regular});
  }
}

Result<SecretBytes> find_module_in_layers(const std::vector<SecretBytes>& layers,
                                          const std::optional<std::string>& entry_point) {
  TRY_ASSIGN(const Files files, wasm_files(layers));
  TRY_ASSIGN(const std::string name, choose(files, entry_point));
  return SecretBytes::copy_of(files.at(name));
}

}  // namespace proplet::module
