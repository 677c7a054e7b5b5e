// SPDX-License-Identifier: Apache-2.0
//
// A session's record as a line of JSON, without and with what its client said when it began TLS, beside the same object
// composed and written by a library. Items are records: how many a second one core writes.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "controlplane/records/session_line.h"
#include "tests/controlplane/support/hello_bytes.h"
#include "tests/controlplane/support/known_session.h"

namespace sluice::control {
namespace {

KnownSession session_of(bool with_hello) {
  KnownSession out = ordinary_session();
  if (!with_hello) return out;
  const std::string message = browsers_hello().message();
  const auto hello = read_client_hello({reinterpret_cast<const uint8_t*>(message.data()), message.size()});
  if (!hello) std::abort();
  out.hello = std::make_shared<const ClientHello>(*hello);
  return out;
}

void sluice_line(benchmark::State& state, bool with_hello) {
  const KnownSession session = session_of(with_hello);
  const LineStyle style{.node = "edge1"};
  fmt::memory_buffer line;
  for (auto _ : state) {
    line.clear();
    append_json(line, session, style);
    benchmark::DoNotOptimize(line.data());
  }
  state.SetItemsProcessed(state.iterations());
}

/// The same object, made of its parts each time.
void nlohmann_line(benchmark::State& state, bool with_hello) {
  fmt::memory_buffer line;
  append_json(line, session_of(with_hello), {.node = "edge1"});
  const nlohmann::json wanted = nlohmann::json::parse(fmt::to_string(line));
  for (auto _ : state) {
    nlohmann::json made = nlohmann::json::object();
    for (const auto& [name, value] : wanted.items()) made[name] = value;
    const std::string text = made.dump();
    benchmark::DoNotOptimize(text.data());
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK_CAPTURE(sluice_line, plain, false)->Name("session_line/sluice");
BENCHMARK_CAPTURE(nlohmann_line, plain, false)->Name("session_line/nlohmann");
BENCHMARK_CAPTURE(sluice_line, with_hello, true)->Name("session_line_with_hello/sluice");
BENCHMARK_CAPTURE(nlohmann_line, with_hello, true)->Name("session_line_with_hello/nlohmann");

}  // namespace
}  // namespace sluice::control

BENCHMARK_MAIN();
