// SPDX-License-Identifier: Apache-2.0
//
// One probe over a real socket, from its SYN to the end of its farewell, and what came of it.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "healthcheck/probe.h"
#include "tests/healthcheck/scripted_server.h"
#include "tests/support/ip.h"

namespace sluice::health::testing {

struct ProbeRun {
  Verdict verdict;
  std::chrono::milliseconds took{};
  std::string transcript;
};

inline ProbeRun run_probe(boost::asio::io_context& io, const config::Check& check, uint16_t port,
                          const std::string& address = "127.0.0.1", std::shared_ptr<IcmpRefusals> refusals = nullptr) {
  auto settings = std::make_shared<ProbeSettings>(ProbeSettings{
      .address = ip(address),
      .port = port,
      .plan = Plan::compile(check).value(),
      .tls = make_tls_context(check).value(),
      .matcher = std::make_shared<Matcher>(),
      .refusals = std::move(refusals),
      .wall_clock = [] { return std::chrono::system_clock::now(); },
  });
  Transcript transcript;
  ProbeRun run;
  bool done = false;
  const auto one = std::make_shared<Probe>(io.get_executor(), settings, &transcript);
  const auto began = std::chrono::steady_clock::now();
  boost::asio::co_spawn(io, one->run([&](const Verdict& verdict) { run.verdict = verdict; }),
                        [&](const std::exception_ptr& error) {
                          EXPECT_FALSE(error);
                          done = true;
                        });
  EXPECT_TRUE(run_until(io, [&] { return done; }));
  run.took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  for (const auto& line : transcript) run.transcript += static_cast<char>(line.speaker) + line.text + "\n";
  return run;
}

}  // namespace sluice::health::testing
