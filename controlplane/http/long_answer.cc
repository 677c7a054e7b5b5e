// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http/long_answer.h"

#include <boost/asio/post.hpp>
#include <memory>
#include <utility>

namespace sluice::control {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

namespace {

constexpr unsigned kMostBegun = 3;

/// An answer between its turns.
struct InTheMaking {
  asio::any_io_executor executor;
  std::function<uint64_t()> composition;
  Turns::Begin begin;
  Reply reply;
  LongAnswer answer{};
  uint64_t looked_at = 0;  // the composition
  unsigned begun = 0;

  /// Whether it is done.
  bool go_on() {
    if (begun == 0 || composition() != looked_at) {
      answer = begin();
      looked_at = composition();
      begun++;
    }
    return answer.steps.run(begun < kMostBegun ? kTurn : Clock::duration::max());
  }
};

void take_turn(const std::shared_ptr<InTheMaking>& making) {
  try {
    if (making->go_on()) return making->reply(making->answer.finish());
  } catch (const std::exception& fault) {
    return making->reply(ApiResponse::error(boost::beast::http::status::internal_server_error, fault.what()));
  }
  asio::post(making->executor, [making] { take_turn(making); });
}

}  // namespace

ApiResponse LongAnswer::whole() && {
  steps.run(Clock::duration::max());
  return finish();
}

Turns::Turns(asio::any_io_executor executor, std::function<uint64_t()> composition)
    : executor_(std::move(executor)), composition_(std::move(composition)) {}

void Turns::answer(Begin begin, const Reply& reply) const {
  take_turn(std::make_shared<InTheMaking>(InTheMaking{executor_, composition_, std::move(begin), reply}));
}

}  // namespace sluice::control
