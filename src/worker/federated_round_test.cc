#include "worker/federated_round.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

namespace proplet::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Answers with what it was given, in order, and remembers what it was asked.
struct FakeHttp {
  Result<net::HttpResponse> send(const net::HttpRequest& request) {
    asked.push_back(request.method + " " + request.url.text());
    bodies.emplace_back(text_of(request.body));
    EXPECT_EQ(request.redirects, 0);
    EXPECT_TRUE(request.timeout.has_value());
    if (answers.empty()) return fail(Code::network_failed, "nobody answers");
    auto [status, body] = answers.front();
    answers.pop_front();
    if (body.size() > request.max_response_bytes) return fail(Code::size_limit, "too large");
    net::HttpResponse response{.url = request.url};
    response.status = status;
    response.body.assign(body.begin(), body.end());
    return response;
  }

  std::deque<std::pair<long, std::string>> answers;
  std::vector<std::string> asked;
  std::vector<std::string> bodies;
};

class FakeClient final : public net::HttpClient {
 public:
  explicit FakeClient(FakeHttp& http) : http_(http) {}
  Result<net::HttpResponse> send(const net::HttpRequest& request, std::stop_token /*stop*/) override {
    return http_.send(request);
  }

 private:
  FakeHttp& http_;
};

class FederatedRoundsTest : public testing::Test {
 protected:
  FederatedRoundsTest() {
    options_.proplet_id = "me";
    command_.id = "t";
  }
  FederatedRounds rounds() {
    return {options_, [this](const net::Url&) { return std::make_unique<FakeClient>(http_); },
            [this](FederatedRounds::Update update) { published_.push_back(std::move(update)); }, log_};
  }
  FederatedRounds::Environment prepared() {
    FederatedRounds::Environment environment;
    const auto done = rounds().prepare(command_, environment, {});
    EXPECT_TRUE(done) << done.error().text();
    return environment;
  }
  std::string refusal() {
    const auto checked = rounds().check(command_);
    FederatedRounds::Environment environment;
    EXPECT_EQ(checked.has_value(), rounds().prepare(command_, environment, {}).has_value());
    return checked ? "" : checked.error().text();
  }

  FederatedOptions options_;
  propeller::StartCommand command_;
  FakeHttp http_;
  std::vector<FederatedRounds::Update> published_;
  Log log_{LogLevel::error, LogFormat::json};
};

TEST(ModelVersion, IsTheNumberAtTheEnd) {
  const std::pair<const char*, int> cases[] = {
      {"oci://r/global_model_v7", 7},
      {"fl/models/global_model_v0", 0},
      {"model-12", 12},
      {"model12b", 0},
      {"v3/model", 0},
      {"", 0},
      {"2147483647", 2147483647},
      {"2147483648", 0},
      {"x/", 0},
      {"global_model_v007", 7},
  };
  for (const auto& [uri, version] : cases) EXPECT_EQ(model_version(uri), version) << uri;
}

TEST_F(FederatedRoundsTest, OrdinaryTasksGetNothingAndHandInNothing) {
  EXPECT_THAT(prepared(), IsEmpty());
  rounds().hand_in(command_, "{}", {});
  EXPECT_THAT(http_.asked, IsEmpty());
  EXPECT_THAT(published_, IsEmpty());
  EXPECT_EQ(federated_result(command_), std::nullopt);
}

TEST_F(FederatedRoundsTest, TheModelAndTheDataSetComeIntoTheEnvironmentAsTheyAre) {
  options_.model_registry_url = "http://operator-registry/";
  options_.data_store_url = "http://store:9000/base";
  command_.env = {{"MODEL_URI", "fl/global_model_v4"}, {"MODEL_REGISTRY_URL", "http://task-registry"}};
  http_.answers = {{200, R"({"w": [1,  2]})"}, {200, "[0]"}};
  const auto environment = prepared();
  EXPECT_THAT(http_.asked, ElementsAre("GET http://task-registry/models/4", "GET http://store:9000/base/datasets/me"));
  EXPECT_EQ(environment.at("MODEL_DATA"), R"({"w": [1,  2]})");
  EXPECT_EQ(environment.at("DATASET_DATA"), "[0]");
}

TEST_F(FederatedRoundsTest, WhatCannotBeFetchedIsMissingAndTheTaskRuns) {
  options_.model_registry_url = "http://registry";
  options_.max_body_bytes = 100;
  command_.env = {{"MODEL_URI", "m1"}};
  const std::pair<long, std::string> answers[] = {{404, "{}"},       {500, "{}"}, {302, "{}"},
                                                  {200, "not JSON"}, {200, ""},   {200, std::string(101, ' ') + "1"}};
  for (const auto& answer : answers) {
    http_.answers = {answer};
    EXPECT_THAT(prepared(), IsEmpty()) << answer.first << answer.second;
  }
  http_.answers.clear();
  EXPECT_THAT(prepared(), IsEmpty());
}

TEST_F(FederatedRoundsTest, IdsCannotLeaveTheirPlaceInAUrl) {
  command_.env = {{"DATA_STORE_URL", "http://store"}, {"PROPLET_ID", "../x?y#z/%2e"}};
  http_.answers = {{200, "1"}};
  prepared();
  EXPECT_THAT(http_.asked, ElementsAre("GET http://store/datasets/..%2Fx%3Fy%23z%2F%252e"));
  for (const char* id : {"", ".", ".."}) {
    command_.env["PROPLET_ID"] = id;
    EXPECT_EQ(refusal(), "MESSAGE_INVALID: env PROPLET_ID is no id");
  }
}

TEST_F(FederatedRoundsTest, AddressesThatAreNeededAndMissingFailTheTaskBeforeItRuns) {
  command_.env = {{"MODEL_URI", "m1"}};
  EXPECT_THAT(refusal(), HasSubstr("CONFIG_INVALID: the task has a MODEL_URI"));
  command_.env = {{"ROUND_ID", "r1"}};
  EXPECT_THAT(refusal(), HasSubstr("CONFIG_INVALID: the task has a ROUND_ID"));
  options_.coordinator_url = "http://coordinator";
  EXPECT_EQ(refusal(), "");
  command_.env["MANAGER_COORDINATOR_URL"] = "";
  EXPECT_EQ(refusal(), "");
}

TEST_F(FederatedRoundsTest, AddressesThatAreMalformedFailTheTask) {
  for (const char* name : {"MODEL_REGISTRY_URL", "DATA_STORE_URL", "MANAGER_COORDINATOR_URL"}) {
    for (const char* bad : {"store", "file:///etc", "http://u:p@store", "http://store/?a=", "http://127.1"}) {
      command_.env = {{name, bad}};
      EXPECT_THAT(refusal(), HasSubstr(std::string("MESSAGE_INVALID: env ") + name)) << bad;
    }
  }
}

TEST_F(FederatedRoundsTest, TextsThatComeBackInTheResultAreBounded) {
  options_.coordinator_url = "http://coordinator";
  command_.env = {{"ROUND_ID", std::string(4097, 'r')}};
  EXPECT_THAT(refusal(), HasSubstr("MESSAGE_INVALID: env ROUND_ID"));
  EXPECT_EQ(federated_result(command_), std::nullopt);
  command_.env = {{"ROUND_ID", "r"}, {"FL_FORMAT", std::string(257, 'f')}};
  EXPECT_THAT(refusal(), HasSubstr("MESSAGE_INVALID: env FL_FORMAT"));
}

TEST_F(FederatedRoundsTest, AnUpdateGoesToTheCoordinator) {
  command_.env = {{"ROUND_ID", "r1"}, {"MANAGER_COORDINATOR_URL", "http://coordinator/api/"}};
  http_.answers = {{201, "thanks"}};
  rounds().hand_in(command_, R"({"update":[1]})", {});
  EXPECT_THAT(http_.asked, ElementsAre("POST http://coordinator/api/update"));
  EXPECT_THAT(http_.bodies, ElementsAre(R"({"update":[1]})"));
  EXPECT_THAT(published_, IsEmpty());
}

TEST_F(FederatedRoundsTest, AnUpdateThatTheCoordinatorDoesNotTakeIsPublished) {
  command_.env = {{"ROUND_ID", "r/#+ 1"}, {"MANAGER_COORDINATOR_URL", "http://coordinator"}};
  for (const long status : {0L, 302L, 404L, 500L}) {
    published_.clear();
    if (status != 0) http_.answers = {{status, ""}};
    rounds().hand_in(command_, "[1]", {});
    ASSERT_EQ(published_.size(), 1U);
    EXPECT_EQ(published_[0].topic, "fl/rounds/r%2F%23%2B%201/updates/me");
    EXPECT_EQ(published_[0].payload, "[1]");
    EXPECT_EQ(published_[0].task_id, "t");
    EXPECT_FALSE(published_[0].confidential);
  }
}

TEST_F(FederatedRoundsTest, OutputThatIsNotJsonIsInTheResultAlone) {
  command_.env = {{"ROUND_ID", "r1"}, {"MANAGER_COORDINATOR_URL", "http://coordinator"}};
  for (const char* output : {"", "plain text", "{", "1 2", "\xff"}) rounds().hand_in(command_, output, {});
  EXPECT_THAT(http_.asked, IsEmpty());
  EXPECT_THAT(published_, IsEmpty());
}

// Whoever listens on the way to a coordinator of the task's choice would read it.
TEST_F(FederatedRoundsTest, TheUpdateOfAnEncryptedTaskIsNotSentInClearToWhomTheTaskNames) {
  command_.encrypted = true;
  command_.env = {{"ROUND_ID", "r1"}, {"MANAGER_COORDINATOR_URL", "http://coordinator"}};
  rounds().hand_in(command_, "[1]", {});
  EXPECT_THAT(http_.asked, IsEmpty());
  ASSERT_EQ(published_.size(), 1U);
  EXPECT_TRUE(published_[0].confidential);

  http_.answers = {{200, ""}, {200, ""}};
  options_.coordinator_url = "http://coordinator/";
  rounds().hand_in(command_, "[2]", {});
  command_.env["MANAGER_COORDINATOR_URL"] = "https://elsewhere";
  rounds().hand_in(command_, "[3]", {});
  EXPECT_THAT(http_.asked, ElementsAre("POST http://coordinator/update", "POST https://elsewhere/update"));
  EXPECT_EQ(published_.size(), 1U);
}

TEST_F(FederatedRoundsTest, TheUpdateOfAnEncryptedTaskIsNotSentToAServerThatNobodyVerifies) {
  options_.verifies_servers = false;
  command_.encrypted = true;
  command_.env = {{"ROUND_ID", "r1"}, {"MANAGER_COORDINATOR_URL", "https://coordinator"}};
  rounds().hand_in(command_, "[1]", {});
  EXPECT_THAT(http_.asked, IsEmpty());
  EXPECT_EQ(published_.size(), 1U);
}

TEST(FederatedResult, HasTheDefaultsOfTheProtocol) {
  propeller::StartCommand command;
  command.env = {{"ROUND_ID", "r1"}};
  EXPECT_EQ(federated_result(command)->num_samples, 1U);
  EXPECT_EQ(federated_result(command)->format, "f32-delta");
  command.env["FL_FORMAT"] = "f16";
  const std::pair<const char*, std::uint64_t> samples[] = {{"12", 12}, {"", 1}, {"-3", 1}, {"12x", 1}, {"1e3", 1}};
  for (const auto& [text, number] : samples) {
    command.env["FL_NUM_SAMPLES"] = text;
    EXPECT_EQ(federated_result(command)->num_samples, number) << text;
  }
  EXPECT_EQ(federated_result(command)->format, "f16");
}

}  // namespace
}  // namespace proplet::worker
