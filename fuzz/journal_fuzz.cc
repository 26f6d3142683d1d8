// The state file of a worker that died: whatever is in it, the next worker starts, and what it finds is found again by
// the one after it.
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "base/fd.h"
#include "fuzz.h"
#include "propeller/journal.h"

using proplet::fuzz::check;
using proplet::propeller::Journal;
using proplet::propeller::JournalEntry;

namespace {

// Made once and removed at the end.
class Folder {
 public:
  Folder() { check(::mkdtemp(path_.data()) != nullptr, "there is room for a folder"); }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/journal-fuzz.XXXXXX";
};

std::vector<JournalEntry> left_behind(const std::string& folder, proplet::Log& log) {
  auto journal = Journal::open(folder, log);
  check(journal.has_value(), "a damaged journal opens");
  return (*journal)->take_left_behind();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  static proplet::Log log(proplet::LogLevel::error, proplet::LogFormat::json);
  const std::string file = folder.path() + "/journal";
  proplet::Bytes content = {0xFF, 'P', 'R', 'P', 'L', 'R', 'F', 1};
  content.insert(content.end(), data, data + size);
  check(proplet::write_file_atomically(file, content, 0600).has_value(), "the file is written");

  const auto first = left_behind(folder.path(), log);
  std::size_t bytes = 0;
  for (const JournalEntry& entry : first) bytes += entry.topic.size() + entry.subject.size() + entry.payload.size();
  check(bytes <= size, "nothing is found that is not in the file");
  const auto second = left_behind(folder.path(), log);
  check(first.size() == second.size(), "what is found is found again");
  for (std::size_t i = 0; i < first.size(); ++i) {
    check(first[i].kind == second[i].kind && first[i].subject == second[i].subject &&
              first[i].payload == second[i].payload && first[i].withheld == second[i].withheld,
          "in the same order");
  }
  return 0;
}
