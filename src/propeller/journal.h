// The Journal remembers on disk what a worker owes its Manager, for the worker that comes after a crash.
//
// Two kinds of entries: a promise (a start was taken; its id alone is written) and a message on its way to the broker.
// The answer of a task ends its promise. Answers of encrypted tasks are never written: their promise stays, marked as
// withheld, until the broker has the answer. What is left when the next worker opens the journal is what it has to
// deliver or to answer for. How safe an entry is: base/record_file.h.
//
// One worker per folder, held by a lock. When the disk does not take an entry, the worker goes on without it, with one
// error in the log until writing works again. Not thread-safe; the Outbox guards it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "base/record_file.h"
#include "base/result.h"

namespace proplet::propeller {

struct JournalEntry {
  enum class Kind : std::uint8_t { promise = 1, message = 2, answer = 3 };

  RecordFile::Number number = 0;
  Kind kind = Kind::promise;
  std::string topic;      // of messages and answers
  std::string subject;    // of promises and answers: the task's id
  std::string payload;    // of messages and answers
  bool withheld = false;  // of promises: the task was answered, but the answer was not written
};

class Journal {
 public:
  using Number = RecordFile::Number;  // 0 stands for an entry that could not be written

  // `folder` is made if it is missing, with mode 0700. STATE_UNUSABLE when it is not a folder of this user alone, when
  // another worker has it, or when a newer version wrote it; IO_FAILED. `log` must outlive the journal.
  static Result<std::unique_ptr<Journal>> open(const std::string& folder, Log& log, RecordFileLimits limits = {});

  // What earlier workers left, oldest first; to be taken once. Messages are to be closed when the broker has them, and
  // promises to be answered by add_answer.
  std::vector<JournalEntry> take_left_behind() { return std::move(left_behind_); }

  void promise(std::string_view task_id);
  Number add_message(std::string_view topic, std::string_view subject, std::string_view payload);
  // Ends the promise of the task, or takes its place as what is to be closed later if it cannot be written.
  Number add_answer(std::string_view topic, std::string_view task_id, std::string_view payload);
  // For an answer that must not be written.
  Number withhold_answer(std::string_view task_id);
  void close(Number number);

 private:
  explicit Journal(Log& log) : log_(log) {}
  void take(RecordFile::Record record);
  void settle_left_behind();
  Number append(std::uint8_t state, JournalEntry::Kind kind, std::string_view topic, std::string_view subject,
                std::string_view payload);
  Number take_promise(std::string_view task_id);
  void note_change(const Status& written);
  void note_failure(const Error& error);

  Log& log_;
  UniqueFd lock_;
  std::unique_ptr<RecordFile> records_;
  std::unordered_multimap<std::string, Number> promises_;  // not yet answered, by task
  std::vector<JournalEntry> left_behind_;
  bool failing_ = false;
};

}  // namespace proplet::propeller
