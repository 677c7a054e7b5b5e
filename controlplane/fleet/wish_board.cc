// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/wish_board.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "controlplane/base/printable.h"
#include "controlplane/fleet/etcd_client.h"

namespace sluice::control {

namespace asio = boost::asio;

namespace {

using Outcome = std::expected<void, std::string>;

/// Why the changes were not made: which of the keys is not what it was, and whose word it is now. Nothing if all are as
/// they should be: an answer was lost, and the change made twice.
std::optional<std::string> conflict_in(const std::vector<WishChange>& changes, const Wishes& now) {
  for (const WishChange& each : changes) {
    const auto found = now.find(each.name);
    const bool is_as_wished =
        each.wish ? found != now.end() && to_text(found->second) == to_text(*each.wish) : found == now.end();
    if (is_as_wished) continue;
    if (found == now.end()) return fmt::format("{}: what was wished for it was taken back meanwhile", each.name);
    return fmt::format("{} was changed meanwhile by {} at {}: look at it, and say it again", each.name,
                       found->second.who, found->second.node);
  }
  return std::nullopt;
}

asio::awaitable<Outcome> make(EtcdClient& client, const std::string& prefix, const std::vector<WishChange>& changes,
                              const std::function<void(const etcd::Listing&)>& told) {
  std::vector<etcd::Swap> swaps;
  for (const WishChange& each : changes)
    swaps.push_back({prefix + each.name, each.revision, each.wish ? std::optional(to_text(*each.wish)) : std::nullopt});
  const etcd::Request swap = etcd::swap(swaps);
  const auto answer = co_await client.ask(swap);
  if (!answer) co_return std::unexpected(answer.error());
  const auto swapped = etcd::swapped_from(*answer);
  if (!swapped) co_return std::unexpected(swapped.error());
  const etcd::Request list = etcd::range_of(prefix);
  const auto text = co_await client.ask(list);
  if (!text) co_return *swapped ? Outcome() : std::unexpected(text.error());
  const auto listing = etcd::listing_from(*text);
  if (!listing) co_return *swapped ? Outcome() : std::unexpected(listing.error());
  told(*listing);
  if (*swapped) co_return Outcome();
  const auto conflict = conflict_in(changes, wishes_in(listing->records, prefix).wishes);
  co_return conflict ? std::unexpected(*conflict) : Outcome();
}

}  // namespace

WishListing wishes_in(const std::vector<etcd::Record>& records, const std::string& prefix) {
  WishListing out;
  for (const etcd::Record& record : records) {
    const std::string name = printable(record.key.substr(std::min(prefix.size(), record.key.size())));
    auto wish = wish_from(record.value);
    if (!wish) {
      out.faults.push_back(fmt::format("{}: {}", printable(record.key), printable(wish.error())));
      wish = Wish{};  // so that another can take its place
    }
    wish->node = printable(std::move(wish->node));
    wish->who = printable(std::move(wish->who));
    wish->revision = record.revision;
    out.wishes.emplace(name, std::move(*wish));
  }
  return out;
}

void change_wishes(asio::io_context& io, const config::Etcd& etcd, const std::string& prefix,
                   std::vector<WishChange> changes, std::function<void(const etcd::Listing&)> told,
                   std::function<void(Outcome)> done) {
  struct Question {
    EtcdClient client;
    std::string prefix;
    std::vector<WishChange> changes;
    std::function<void(const etcd::Listing&)> told;
    std::function<void(Outcome)> done;
  };
  auto question = std::make_shared<Question>(EtcdClient(io.get_executor(), etcd), prefix, std::move(changes),
                                             std::move(told), std::move(done));
  asio::co_spawn(
      io,
      [question]() -> asio::awaitable<void> {
        auto outcome = co_await make(question->client, question->prefix, question->changes, question->told);
        question->done(std::move(outcome));
      },
      asio::detached);
}

}  // namespace sluice::control
