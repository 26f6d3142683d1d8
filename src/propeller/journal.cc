#include "propeller/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>
#include <unordered_set>
#include <utility>

namespace proplet::propeller {
namespace {

constexpr std::uint8_t kOpen = 1;
constexpr std::uint8_t kWithheld = 2;

std::string reason() { return std::generic_category().message(errno); }

Status make_folder(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Code::io_failed, "cannot create {}: {}", folder, reason());
  }
  struct stat status{};
  if (::stat(folder.c_str(), &status) != 0) return fail(Code::io_failed, "cannot examine {}: {}", folder, reason());
  if (!S_ISDIR(status.st_mode)) return fail(Code::state_unusable, "{} is not a folder", folder);
  if (status.st_uid != ::geteuid()) return fail(Code::state_unusable, "{} belongs to another user", folder);
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fail(Code::state_unusable, "{} is open to other users (mode {:o}); chmod it to 700", folder,
                status.st_mode & 07777U);
  }
  return {};
}

// Held until the process ends, however it does.
Result<UniqueFd> lock_folder(const std::string& folder) {
  const std::string path = folder + "/lock";
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.valid()) return fail(Code::io_failed, "cannot open {}: {}", path, reason());
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) return fail(Code::state_unusable, "another worker uses {}", folder);
  return fail(Code::io_failed, "cannot lock {}: {}", path, reason());
}

void put(Bytes& out, std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  for (unsigned shift = 0; shift < 32; shift += 8) out.push_back(static_cast<std::uint8_t>(size >> shift));
  out.insert(out.end(), text.begin(), text.end());
}

std::optional<std::string> get(ByteView& in) {
  if (in.size() < 4) return std::nullopt;
  std::size_t size = 0;
  for (unsigned i = 0; i < 4; ++i) size |= std::size_t{in[i]} << (8 * i);
  in = in.subspan(4);
  if (in.size() < size) return std::nullopt;
  std::string text(text_of(in.first(size)));
  in = in.subspan(size);
  return text;
}

std::optional<JournalEntry> decode(ByteView body) {
  if (body.empty() || body[0] < 1 || body[0] > static_cast<std::uint8_t>(JournalEntry::Kind::answer)) return {};
  JournalEntry entry;
  entry.kind = static_cast<JournalEntry::Kind>(body[0]);
  body = body.subspan(1);
  for (std::string* part : {&entry.topic, &entry.subject, &entry.payload}) {
    auto text = get(body);
    if (!text) return std::nullopt;
    *part = *std::move(text);
  }
  return entry;
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(const std::string& folder, Log& log, RecordFileLimits limits) {
  TRY(make_folder(folder));
  std::unique_ptr<Journal> journal(new Journal(log));
  TRY_ASSIGN(journal->lock_, lock_folder(folder));
  const auto take = [&journal](RecordFile::Record record) { journal->take(std::move(record)); };
  TRY_ASSIGN(journal->records_, RecordFile::open(folder + "/journal", limits, take));
  if (const auto bytes = journal->records_->damaged_bytes(); bytes > 0) {
    log.error("state damaged: what was there is lost", {{"folder", folder}, {"bytes", bytes}});
  }
  journal->settle_left_behind();
  return journal;
}

void Journal::take(RecordFile::Record record) {
  auto entry = decode(record.body);
  if (!entry) {
    log_.error("state damaged: an entry is not understood", {{"bytes", record.body.size()}});
    return;
  }
  entry->number = record.number;
  entry->withheld = record.state == kWithheld;
  if (entry->kind == JournalEntry::Kind::promise) {
    if (!entry->withheld) promises_.emplace(entry->subject, entry->number);
  } else if (entry->kind == JournalEntry::Kind::answer) {
    // A crash between the two writes of add_answer leaves both.
    promises_.erase(entry->subject);
  }
  left_behind_.push_back(*std::move(entry));
}

// Drops the promises that were kept, and opens the withheld ones again: their answers do not exist any more.
void Journal::settle_left_behind() {
  std::unordered_set<Number> open;
  for (const auto& [id, number] : promises_) open.insert(number);
  std::erase_if(left_behind_, [&](const JournalEntry& entry) {
    const bool kept = entry.kind == JournalEntry::Kind::promise && !entry.withheld && !open.contains(entry.number);
    if (kept) close(entry.number);
    if (entry.withheld) promises_.emplace(entry.subject, entry.number);
    return kept;
  });
}

void Journal::promise(std::string_view task_id) {
  const Number number = append(kOpen, JournalEntry::Kind::promise, {}, task_id, {});
  if (number != 0) promises_.emplace(task_id, number);
}

Journal::Number Journal::add_message(std::string_view topic, std::string_view subject, std::string_view payload) {
  return append(kOpen, JournalEntry::Kind::message, topic, subject, payload);
}

Journal::Number Journal::add_answer(std::string_view topic, std::string_view task_id, std::string_view payload) {
  const Number promise = take_promise(task_id);
  const Number answer = append(kOpen, JournalEntry::Kind::answer, topic, task_id, payload);
  if (answer == 0) return promise;
  close(promise);
  return answer;
}

Journal::Number Journal::withhold_answer(std::string_view task_id) {
  const Number promise = take_promise(task_id);
  if (promise == 0) return append(kWithheld, JournalEntry::Kind::promise, {}, task_id, {});
  note_change(records_->set_state(promise, kWithheld));
  return promise;
}

void Journal::close(Number number) {
  if (number != 0) note_change(records_->set_state(number, RecordFile::kClosed));
}

Journal::Number Journal::append(std::uint8_t state, JournalEntry::Kind kind, std::string_view topic,
                                std::string_view subject, std::string_view payload) {
  Bytes body;
  body.reserve(1 + 12 + topic.size() + subject.size() + payload.size());
  body.push_back(static_cast<std::uint8_t>(kind));
  for (const std::string_view part : {topic, subject, payload}) put(body, part);
  const auto number = records_->append(state, body);
  if (!number) {
    note_failure(number.error());
  } else if (std::exchange(failing_, false)) {
    log_.warn("state is kept again");
  }
  return number.value_or(0);
}

// The number of an open promise of the task, which from now on is somebody else's to close; 0 if there is none.
Journal::Number Journal::take_promise(std::string_view task_id) {
  const auto found = promises_.find(std::string(task_id));
  if (found == promises_.end()) return 0;
  const Number number = found->second;
  promises_.erase(found);
  return number;
}

void Journal::note_change(const Status& written) {
  if (!written) note_failure(written.error());
}

void Journal::note_failure(const Error& error) {
  if (std::exchange(failing_, true)) return;
  log_.error("state is not kept: results would be lost if the worker died", {{"error", error.text()}});
}

}  // namespace proplet::propeller
