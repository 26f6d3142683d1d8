#include "kbs/server/policy.h"

#include <algorithm>

#include "base/json.h"

namespace proplet::kbs {
namespace {

constexpr std::size_t kMaxPolicyBytes = std::size_t{1} << 20;

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> segments;
  for (auto slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/')) {
    segments.emplace_back(path.substr(0, slash));
    path.remove_prefix(slash + 1);
  }
  segments.emplace_back(path);
  return segments;
}

bool is_pattern(std::string_view segment) {
  const auto star = segment.find('*');
  return !segment.empty() && (star == std::string_view::npos || star == segment.size() - 1);
}

bool matches(std::string_view pattern, std::string_view segment) {
  if (!pattern.ends_with('*')) return pattern == segment;
  pattern.remove_suffix(1);
  return segment.starts_with(pattern);
}

Status only_members(const json::object& object, std::initializer_list<std::string_view> known) {
  for (const auto& member : object) {
    if (std::ranges::find(known, std::string_view(member.key())) == known.end()) {
      return fail(Code::config_invalid, "unknown member {}", std::string_view(member.key()));
    }
  }
  return {};
}

Result<std::vector<attestation::Tee>> parse_tees(const json::array& names) {
  std::vector<attestation::Tee> tees;
  for (const auto& name : names) {
    const auto tee = name.is_string() ? attestation::tee_from_name(name.get_string()) : std::nullopt;
    if (!tee) return fail(Code::config_invalid, "tee holds something that is not a TEE's name");
    tees.push_back(*tee);
  }
  return tees;
}

}  // namespace

Result<Policy> Policy::parse(std::string_view text) {
  const auto root = json::parse_object(text, {.bytes = kMaxPolicyBytes, .depth = 8});
  if (!root) return fail(Error(Code::config_invalid, "the policy is not JSON rules").caused_by(root.error()));
  TRY(only_members(*root, {"rules"}));
  const auto rules = json::required_array(*root, "rules");
  if (!rules) return fail(Error(Code::config_invalid, "the policy").caused_by(rules.error()));

  Policy policy;
  for (const auto& value : **rules) {
    const auto where = fmt::format("rules[{}]", policy.rules_.size());
    if (!value.is_object()) return fail(Code::config_invalid, "{} is not an object", where);
    const auto& rule = value.get_object();
    if (auto known = only_members(rule, {"tee", "path"}); !known) return fail(std::move(known).error().because(where));
    const auto path = json::required_string(rule, "path");
    const auto names = json::required_array(rule, "tee");
    if (!path || !names) return fail(Code::config_invalid, "{} needs tee, an array, and path, a string", where);
    auto tees = parse_tees(**names);
    if (!tees) return fail(std::move(tees).error().because(where));
    auto segments = split(*path);
    if (segments.size() != 3 || !std::ranges::all_of(segments, is_pattern)) {
      return fail(Code::config_invalid, "{}.path is not three segments with '*' at the end of a segment at most",
                  where);
    }
    policy.rules_.push_back({.tees = std::move(*tees), .segments = std::move(segments)});
  }
  return policy;
}

Policy Policy::allow_all_for(std::vector<attestation::Tee> tees) {
  Policy policy;
  policy.rules_.push_back({.tees = std::move(tees), .segments = {}});
  return policy;
}

bool Policy::allows(attestation::Tee tee, std::string_view path) const {
  const auto segments = split(path);
  return std::ranges::any_of(rules_, [&](const Rule& rule) {
    if (std::ranges::find(rule.tees, tee) == rule.tees.end()) return false;
    return rule.segments.empty() || std::ranges::equal(rule.segments, segments, matches);
  });
}

}  // namespace proplet::kbs
