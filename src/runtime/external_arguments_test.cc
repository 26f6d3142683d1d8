#include "runtime/external_arguments.h"

#include <gmock/gmock.h>

namespace proplet::runtime {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::StartsWith;
using Texts = std::vector<std::string>;

const Bytes kCore{0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00};
const Bytes kComponent{0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00};

struct CommandLine {
  std::string function;
  Texts inputs;
  Texts cli_args;
  std::map<std::string, std::string> environment;
  const Bytes& module;
  Texts arguments;
};

TEST(ExternalArguments, AreThoseOfTheProtocol) {
  const CommandLine lines[] = {
      {"add",
       {"10", "20"},
       {},
       {{"PROPLET_ID", "p"}},
       kCore,
       {"wasmtime", "run", "--invoke", "add", "--env", "PROPLET_ID=p", "FILE", "10", "20"}},
      {"add",
       {"10", "20"},
       {},
       {{"PROPLET_ID", "p"}},
       kComponent,
       {"wasmtime", "run", "--invoke", "add(10, 20)", "--env", "PROPLET_ID=p", "FILE"}},
      {"other",
       {"10", "20"},
       {"--invoke", "add"},
       {{"PROPLET_ID", "p"}},
       kCore,
       {"wasmtime", "run", "--invoke", "add", "--env", "PROPLET_ID=p", "FILE", "10", "20"}},
      {"_start",
       {"10", "20"},
       {},
       {{"PROPLET_ID", "p"}},
       kCore,
       {"wasmtime", "run", "--env", "PROPLET_ID=p", "FILE", "10", "20"}},
      {"fl-round-7", {}, {}, {}, kCore, {"wasmtime", "run", "FILE"}},
      {"", {"x"}, {}, {}, kComponent, {"wasmtime", "run", "FILE", "x"}},
      {"now", {}, {}, {}, kComponent, {"wasmtime", "run", "--invoke", "now()", "FILE"}},
      {"f", {"x"}, {"--invoke", "f(1)"}, {}, kComponent, {"wasmtime", "run", "--invoke", "f(1)", "FILE", "x"}},
      {"f", {"-1"}, {"--invoke=f"}, {}, kCore, {"wasmtime", "run", "--invoke=f", "FILE", "-1"}},
      {"f",
       {"\"a b\""},
       {"-W", "fuel=3", "--dir", "/d"},
       {{"A", "1"}, {"B", "x=y z"}},
       kCore,
       {"wasmtime", "run", "--invoke", "f", "-W", "fuel=3", "--dir", "/d", "--env", "A=1", "--env", "B=x=y z", "FILE",
        "\"a b\""}},
  };
  for (const CommandLine& line : lines) {
    RunRequest request;
    request.function = line.function;
    request.arguments = line.inputs;
    request.cli_args = line.cli_args;
    request.environment = line.environment;
    const auto arguments = external_arguments("wasmtime", "FILE", line.module, request);
    ASSERT_TRUE(arguments.has_value()) << arguments.error().text();
    EXPECT_THAT(*arguments, ElementsAreArray(line.arguments));
  }
}

TEST(ExternalArguments, RefuseTextsThatWouldBeTakenForSomethingElse) {
  const auto error_for = [](const auto& change) {
    RunRequest request;
    request.function = "add";
    change(request);
    const auto arguments = external_arguments("wasmtime", "FILE", kCore, request);
    return arguments ? std::string() : arguments.error().text();
  };
  EXPECT_EQ(error_for([](RunRequest&) {}), "");
  EXPECT_THAT(error_for([](RunRequest& request) { request.function = "-Sinherit-network"; }),
              StartsWith("MESSAGE_INVALID"));
  for (const char* name : {"", "-Sinherit-network", "A=B"}) {
    EXPECT_THAT(error_for([&](RunRequest& request) { request.environment[name] = "y"; }),
                StartsWith("MESSAGE_INVALID"));
  }
  const std::string nul("a\0b", 3);
  EXPECT_THAT(error_for([&](RunRequest& request) { request.arguments = {nul}; }), StartsWith("MESSAGE_INVALID"));
  EXPECT_THAT(error_for([&](RunRequest& request) { request.environment["A"] = nul; }), StartsWith("MESSAGE_INVALID"));
}

TEST(ExternalArguments, KnowComponentsByTheirHeader) {
  EXPECT_FALSE(is_component(kCore));
  EXPECT_TRUE(is_component(kComponent));
  EXPECT_TRUE(is_component(Bytes{0x00, 0x61, 0x73, 0x6d, 0x0a, 0x00, 0x01, 0x00}));
  EXPECT_FALSE(is_component(Bytes{0x00, 0x61, 0x73, 0x6d, 0x0d}));
  Bytes server = kComponent;
  for (const char c : std::string_view("..wasi:http/incoming-handler@0.2.0"))
    server.push_back(static_cast<std::uint8_t>(c));
  EXPECT_TRUE(serves_http(server));
  EXPECT_FALSE(serves_http(kComponent));
}

Status check(const Texts& cli_args, const Texts& operators_flags = {}) {
  const auto allowed = AllowedArguments::make(operators_flags, {"/data", "/more"});
  EXPECT_TRUE(allowed.has_value());
  return allowed->check(cli_args);
}

TEST(AllowedArguments, LetHarmlessFlagsPass) {
  const Texts lines[] = {
      {},
      {"--invoke", "add"},
      {"--invoke=f(\"--dir=/\")"},
      {"--env", "A=b", "--env=C=d", "--env", "LD_PRELOAD=/x"},
      {"--dir", "/data", "--dir=/more::/guest"},
      {"-W", "max-memory-size=65536,timeout=10s", "-Wfuel=3", "--wasm=max-tables=1", "--wasm", "max-instances=1"},
      {"-Snn", "-S", "nn=y", "--wasi=nn", "-S=nn"},
      {"-Wtrap-on-grow-failure", "-Wtrap-on-grow-failure=n"},
      {"--argv0", "name"},
  };
  for (const Texts& line : lines) {
    const auto status = check(line);
    EXPECT_TRUE(status.has_value()) << status.error().text();
  }
}

TEST(AllowedArguments, RefuseEverythingElseByName) {
  const std::pair<Texts, std::string> lines[] = {
      {{"--dir=/"}, "--dir=/ is no directory of PROPLET_DIRS"},
      {{"--dir", "/data/../etc"}, "--dir=/data/../etc is no directory of PROPLET_DIRS"},
      {{"--dir", "/data/sub::/data"}, "--dir=/data/sub::/data is no directory of PROPLET_DIRS"},
      {{"--dir", "/::/data"}, "--dir=/::/data is no directory of PROPLET_DIRS"},
      {{"--dir"}, "--dir has no value"},
      {{"--dir", "--invoke"}, "--dir has no value"},
      {{"--env", "HOME"}, "--env needs the form NAME=VALUE"},
      {{"--env", "=x"}, "--env needs the form NAME=VALUE"},
      {{"--env=-Sinherit-env=y"}, "--env=-Sinherit-env=y needs the form NAME=VALUE"},
      {{"-S", "inherit-network=y"}, "-Sinherit-network=y is not allowed on this worker"},
      {{"-Sinherit-env"}, "-Sinherit-env is not allowed on this worker"},
      {{"-S", "nn,tcp"}, "-Stcp is not allowed on this worker"},
      {{"-S=nn,,tcp"}, "-S is not allowed on this worker"},
      {{"-Snn-graph=onnx::/models"}, "-Snn-graph=onnx::/models is not allowed on this worker"},
      {{"--wasi", "listenfd=y"}, "-Slistenfd=y is not allowed on this worker"},
      {{"-Dcoredump=/tmp/x"}, "-Dcoredump=/tmp/x is not allowed on this worker"},
      {{"-C", "cache-config=/x"}, "-Ccache-config=/x is not allowed on this worker"},
      {{"-O"}, "-O has no value"},
      {{"-Wfuel"}, "-Wfuel is not allowed on this worker"},
      {{"--preload", "a=/b"}, "--preload is not allowed on this worker"},
      {{"--config=/x"}, "--config=/x is not allowed on this worker"},
      {{"--allow-precompiled"}, "--allow-precompiled is not allowed on this worker"},
      {{"--addr", "0.0.0.0:80"}, "--addr is not allowed on this worker"},
      {{"--profile=guest,/x"}, "--profile=guest,/x is not allowed on this worker"},
      {{"/etc/other.wasm"}, "/etc/other.wasm is not allowed on this worker"},
      {{"--", "/etc/other.wasm"}, "-- is not allowed on this worker"},
      {{"-"}, "- is not allowed on this worker"},
      {{""}, " is not allowed on this worker"},
      {{"-g1234"}, "-g1234 is not allowed on this worker"},
      {{"--invoke", "add", "extra"}, "extra is not allowed on this worker"},
      {{"--Invoke=x"}, "--Invoke=x is not allowed on this worker"},
      {{"--inv", "x"}, "--inv is not allowed on this worker"},
  };
  for (const auto& [line, why] : lines) {
    const auto status = check(line);
    ASSERT_FALSE(status.has_value()) << why;
    EXPECT_EQ(status.error().text(), "CLI_ARGUMENT_REFUSED: cli_args: " + why);
  }
  EXPECT_LT(check({std::string(100000, 'x')}).error().text().size(), 300U);
}

TEST(AllowedArguments, TheOperatorMayAllowMore) {
  const Texts flags{"-Shttp", "-Snn-graph=onnx::/models", "-Stcp=", "--preload=", "--quiet", "--dir=/shared"};
  for (const Texts& line :
       {Texts{"-S", "http,nn-graph=onnx::/models"}, Texts{"-Shttp=n"}, Texts{"-Stcp=y"}, Texts{"--preload", "a=/b"},
        Texts{"--preload=a=/b"}, Texts{"--quiet"}, Texts{"--dir", "/shared", "--dir=/data"}}) {
    const auto status = check(line, flags);
    EXPECT_TRUE(status.has_value()) << status.error().text();
  }
  for (const Texts& line : {Texts{"-Shttp=/x"}, Texts{"-Snn-graph=onnx::/etc"}, Texts{"-Snn-graph"}, Texts{"-Stcp"},
                            Texts{"--preload"}, Texts{"--quiet", "file"}, Texts{"--dir=/shared/x"}, Texts{"-Sudp"}}) {
    EXPECT_FALSE(check(line, flags).has_value()) << line[0];
  }
}

TEST(AllowedArguments, SayWhichEntryOfTheOperatorIsNoFlag) {
  for (const char* bad : {"", "x", "-", "--", "-S", "-x", "--wasi", "--wasm=fuel", "=", "--=x"}) {
    const auto made = AllowedArguments::make({"-Shttp", bad}, {});
    ASSERT_FALSE(made.has_value()) << bad;
    EXPECT_THAT(made.error().text(), StartsWith(fmt::format("CONFIG_INVALID: '{}'", bad)));
  }
}

}  // namespace
}  // namespace proplet::runtime
