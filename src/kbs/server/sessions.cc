#include "kbs/server/sessions.h"

#include "base/encoding.h"

namespace proplet::kbs {

std::optional<BrokerSession> Sessions::open(attestation::Tee tee) {
  auto id = random_.uuid();
  std::erase(id, '-');
  const auto nonce = random_.bytes<32>();
  BrokerSession session{.id = id, .nonce = base64_encode(nonce), .tee = tee, .expires = clock_.now() + lifetime_};
  const std::lock_guard lock(mutex_);
  drop_expired();
  if (!make_room()) return std::nullopt;
  sessions_.insert_or_assign(std::move(id), session);
  return session;
}

std::optional<BrokerSession> Sessions::find(std::string_view id) {
  const std::lock_guard lock(mutex_);
  drop_expired();
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return std::nullopt;
  return found->second;
}

std::optional<std::string> Sessions::attest(std::string_view id, std::string token) {
  const std::lock_guard lock(mutex_);
  drop_expired();
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return std::nullopt;
  if (found->second.token.empty()) found->second.token = std::move(token);
  return found->second.token;
}

void Sessions::drop_expired() {
  std::erase_if(sessions_, [now = clock_.now()](const auto& entry) { return entry.second.expires <= now; });
}

bool Sessions::make_room() {
  if (sessions_.size() < most_) return true;
  auto oldest = sessions_.end();
  for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
    if (!it->second.token.empty()) continue;
    if (oldest == sessions_.end() || it->second.expires < oldest->second.expires) oldest = it;
  }
  if (oldest == sessions_.end()) return false;
  sessions_.erase(oldest);
  return true;
}

}  // namespace proplet::kbs
