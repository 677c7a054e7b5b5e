// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/fenced_write.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <memory>
#include <utility>

namespace sluice::control {

namespace asio = boost::asio;

namespace {

using Outcome = std::expected<void, std::string>;

struct Question {
  EtcdClient client;
  std::string prefix;
  std::vector<FencedChange> changes;
  std::function<std::string(const etcd::Listing&)> told;
  std::function<void(Outcome)> done;
};

/// The lease under which a key lives; 0 = it lives until somebody takes it away.
asio::awaitable<std::expected<int64_t, std::string>> lease_for(EtcdClient& client, const FencedChange& change) {
  if (!change.value || !change.lasts) co_return 0;
  const etcd::Request grant = etcd::grant(change.lasts->count());
  const auto answer = co_await client.ask(grant);
  if (!answer) co_return std::unexpected(answer.error());
  co_return etcd::granted_from(*answer);
}

asio::awaitable<Outcome> make(Question& question) {
  std::vector<etcd::Swap> swaps;
  for (const FencedChange& each : question.changes) {
    const auto lease = co_await lease_for(question.client, each);
    if (!lease) co_return std::unexpected(lease.error());
    swaps.push_back({question.prefix + each.name, each.revision, each.value, *lease});
  }
  const etcd::Request swap = etcd::compare_and_swap(swaps);
  const auto answer = co_await question.client.ask(swap);
  if (!answer) co_return std::unexpected(answer.error());
  const auto swapped = etcd::swapped_from(*answer);
  if (!swapped) co_return std::unexpected(swapped.error());
  const etcd::Request list = etcd::range_of(question.prefix);
  const auto text = co_await question.client.ask(list);
  if (!text) co_return *swapped ? Outcome() : std::unexpected(text.error());
  const auto listing = etcd::listing_from(*text);
  if (!listing) co_return *swapped ? Outcome() : std::unexpected(listing.error());
  if (std::string fault = question.told(*listing); !fault.empty()) co_return std::unexpected(std::move(fault));
  if (*swapped) co_return Outcome();
  const auto conflict = conflict_in(question.changes, question.prefix, listing->records);
  co_return conflict ? std::unexpected(*conflict) : Outcome();
}

}  // namespace

void make_fenced(asio::io_context& io, EtcdClient client, const std::string& prefix, std::vector<FencedChange> changes,
                 std::function<std::string(const etcd::Listing&)> told, std::function<void(Outcome)> done) {
  auto question =
      std::make_shared<Question>(std::move(client), prefix, std::move(changes), std::move(told), std::move(done));
  asio::co_spawn(
      io,
      [question]() -> asio::awaitable<void> {
        auto outcome = co_await make(*question);
        question->done(std::move(outcome));
      },
      asio::detached);
}

}  // namespace sluice::control
