// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <boost/asio/post.hpp>
#include <iterator>
#include <utility>

#include "controlplane/base/kept_state.h"
#include "controlplane/base/put_first.h"
#include "controlplane/base/state_file.h"
#include "controlplane/changes/offender_file.h"

namespace sluice::control {

namespace {

constexpr size_t kSmall = 4096;                  // so many prefixes are put together in a millisecond
constexpr int kOffendersShare = 20;              // of the time, at most one part goes into what follows from offenders
constexpr std::string_view kCopyHead = "# of ";  // the path that the copy was made from, on its first line

Sources::Prefixes sorted(Sources::Prefixes prefixes) {
  std::ranges::sort(prefixes);
  return prefixes;
}

/// In how many bits two addresses begin alike.
uint8_t common_bits(const config::IpAddress& a, const config::IpAddress& b) {
  const auto [here, there] = std::ranges::mismatch(a.bytes, b.bytes);
  if (here == a.bytes.end()) return 128;
  const auto same = static_cast<int>(here - a.bytes.begin());
  return static_cast<uint8_t>(8 * same + std::countl_zero(static_cast<uint8_t>(*here ^ *there)));
}

/// The longest of some prefixes that holds an address; null: none does. `last(prefix)` is the greatest of them that is
/// not greater than `prefix`, or null: by address first, then by length. What holds the address and is less than
/// another that does not holds that one's address too, and is no longer than what the two addresses have in common.
template <typename Last>
const config::IpPrefix* longest_of(const config::IpAddress& source, Last last) {
  config::IpPrefix sought{source, 128};
  for (;;) {
    const config::IpPrefix* found = last(sought);
    if (found == nullptr || found->contains({source, 128})) return found;
    sought = config::IpPrefix::of(source, common_bits(found->address, source));
  }
}

template <typename Entries>
const config::IpPrefix* longest_in(const config::IpAddress& source, const Entries& entries) {
  return longest_of(source, [&](const config::IpPrefix& prefix) {
    const auto next = entries.upper_bound(prefix);
    return next == entries.begin() ? nullptr : &std::prev(next)->first;
  });
}

/// What was good the last time, if it was of the same file.
std::optional<Sources::Prefixes> copy_of(const std::string& path, const std::string& copy_path) {
  const auto text = read_regular_file(copy_path);
  if (!text || !text->starts_with(std::string(kCopyHead) + path + "\n")) return std::nullopt;
  auto prefixes = block_list_from(*text, copy_path);
  return prefixes ? std::optional(sorted(std::move(*prefixes))) : std::nullopt;
}

}  // namespace

/// What a job needs of what it must not touch.
struct Sources::Job {
  std::string read;  // this file; "" = none
  std::string copy_path;
  bool takes_copy = false;  // where the file has a fault
  std::shared_ptr<const Prefixes> file;
  Prefixes by_hand;
  Prefixes allow;
  std::optional<OffenderEntries> offenders;  // to be kept
  std::string offenders_path;
};

struct Sources::Done {
  std::shared_ptr<const Prefixes> file;
  std::optional<FileStamp> stamp;
  bool has_read = false;
  std::string fault;
  std::string copy_fault;
  std::optional<std::string> offenders_fault;  // where they were to be kept; "" = they are
  std::shared_ptr<const SourceList> list;
  std::chrono::milliseconds took{};
};

Sources::Sources(boost::asio::io_context& io, Journal& journal, const std::string& state_directory,
                 std::function<void()> changed)
    : io_(io),
      journal_(journal),
      changed_(std::move(changed)),
      blocks_(journal, state_directory),
      fleet_blocks_(journal, state_directory),
      offenders_(journal),
      copy_path_(state_directory + "/block-list.txt"),
      offenders_path_(state_directory + "/offenders.json") {}

void Sources::start(const config::Sources& config) {
  blocks_.restore();
  blocks_.tick();  // what expired meanwhile
  fleet_blocks_.restore();
  if (const auto known = kept_state(journal_, offenders_path_, offender_file_from, "who gave offence is forgotten"))
    offenders_.restore(*known);
  take_up(config);
  reads_file_ = true;
  is_starting_ = true;
  begin();
  is_starting_ = false;
}

void Sources::follow(const config::Sources& config) {
  if (config == config_) return;
  reads_file_ |= config.block_file != config_.block_file;
  take_up(config);
  begin();
}

void Sources::take_up(const config::Sources& config) {
  offenders_.follow(config);
  if (config.allow != config_.allow) exempt_ = config.allow.empty() ? nullptr : SourceList::of(config.allow, {});
  config_ = config;
}

void Sources::tick() {
  const bool own_expired = blocks_.tick();
  const bool expired = fleet_blocks_.tick() || own_expired;
  offenders_changed_ |= offenders_.tick();
  const bool follows = offenders_changed_ && journal_.now() >= offenders_due_;
  const bool is_another = !is_busy_ && !config_.block_file.empty() && stamp_of(config_.block_file) != stamp_;
  reads_file_ |= is_another;
  if (expired || is_another || follows) begin();
}

std::expected<std::string, std::string> Sources::block(const config::IpPrefix& prefix,
                                                       std::optional<std::chrono::seconds> duration) {
  auto done = blocks_.block(prefix, duration);
  if (done) begin();
  return done;
}

std::expected<std::string, std::string> Sources::unblock(const config::IpPrefix& prefix) {
  auto done = blocks_.unblock(prefix);
  if (offenders_.forget(prefix)) {
    offenders_changed_ |= offenders_.tick();
    if (!done) done = "";
  }
  if (done) begin();
  return done;
}

void Sources::hear_fleet(FleetBlocksHeard heard) {
  if (fleet_blocks_.hear(std::move(heard))) begin();
}

void Sources::begin() {
  is_due_ = true;
  if (is_busy_) return;
  is_due_ = false;
  is_busy_ = true;
  Job job;
  job.file = file_;
  job.copy_path = copy_path_;
  job.allow = config_.allow;
  for (const auto& [prefix, block] : blocks_.entries()) job.by_hand.push_back(prefix);
  for (const auto& [prefix, block] : fleet_blocks_.entries()) job.by_hand.push_back(prefix);
  for (const auto& [source, offender] : offenders_.entries()) {
    if (!offender.hears) job.by_hand.push_back(source);
  }
  list_refused();
  if (std::exchange(offenders_changed_, false)) {
    job.offenders = offenders_.entries();
    job.offenders_path = offenders_path_;
  }
  if (std::exchange(reads_file_, false)) {
    job.read = config_.block_file;
    job.takes_copy = list_ == nullptr;
    if (job.read.empty()) {
      job.file = std::make_shared<Prefixes>();
      file_fault_.clear();
      file_loaded_.reset();
    }
  }
  const size_t prefixes = job.file->size() + job.by_hand.size() + job.allow.size();
  if (job.read.empty() && !job.offenders && prefixes <= kSmall) return finish(carry_out(job));
  boost::asio::post(pool_, [this, job = std::move(job)] {
    Done done = carry_out(job);
    boost::asio::post(io_, [this, done = std::move(done)]() mutable { finish(std::move(done)); });
  });
}

void Sources::list_refused() {
  Prefixes refused;
  for (const auto& [source, offender] : offenders_.entries()) {
    if (offender.hears) refused.push_back(source);
  }
  refused_ = refused.empty() ? nullptr : SourceList::of(refused, config_.allow);
}

Sources::Done Sources::carry_out(const Job& job) {
  const auto began = std::chrono::steady_clock::now();
  Done out;
  out.file = job.file;
  if (!job.read.empty()) {
    out.has_read = true;
    out.stamp = stamp_of(job.read);
    const auto text = read_regular_file(job.read);
    auto prefixes = text ? block_list_from(*text, job.read) : std::unexpected(text.error());
    if (prefixes) {
      out.file = std::make_shared<Prefixes>(sorted(std::move(*prefixes)));
      const auto kept = save_state(job.copy_path, std::string(kCopyHead) + job.read + "\n" + *text);
      if (!kept) out.copy_fault = kept.error();
    } else {
      out.fault = prefixes.error();
      if (job.takes_copy) {
        if (auto copy = copy_of(job.read, job.copy_path)) out.file = std::make_shared<Prefixes>(std::move(*copy));
      }
    }
  }
  if (job.offenders) {
    const auto kept = save_state(job.offenders_path, offender_file_text(*job.offenders));
    out.offenders_fault = kept ? "" : kept.error();
  }
  Prefixes blocked = *out.file;
  blocked.insert(blocked.end(), job.by_hand.begin(), job.by_hand.end());
  out.list = SourceList::of(blocked, job.allow);
  out.took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  return out;
}

void Sources::finish(Done done) {
  is_busy_ = false;
  file_ = std::move(done.file);
  list_ = std::move(done.list);
  offenders_due_ = journal_.now() + kOffendersShare * done.took;
  if (done.offenders_fault) {
    if (!done.offenders_fault->empty() && *done.offenders_fault != offenders_fault_)
      journal_.record(Severity::kWarning, "control", "state", *done.offenders_fault);
    offenders_fault_ = std::move(*done.offenders_fault);
  }
  if (done.has_read) {
    stamp_ = done.stamp;
    if (done.fault.empty()) {
      file_loaded_ = journal_.now();
      journal_.record(Severity::kInfo, "sources", config_.block_file,
                      fmt::format("{} prefixes blocked, read in {} ms", file_->size(), done.took.count()));
    } else if (done.fault != file_fault_) {
      journal_.record(Severity::kError, "sources", config_.block_file,
                      fmt::format("refused, the {} prefixes of before stay blocked: {}", file_->size(), done.fault));
    }
    file_fault_ = std::move(done.fault);
    if (!done.copy_fault.empty()) journal_.record(Severity::kWarning, "control", "state", done.copy_fault);
  }
  if (!is_starting_) changed_();
  if (is_due_) begin();
}

std::string_view name_of(const BlockedBy& by) {
  if (by.on_all_nodes) return "fleet";
  if (by.offender) return name_of(by.offender->offence);
  return by.by_hand ? "hand" : "file";
}

std::optional<BlockedBy> Sources::longest_block(const config::IpAddress& source) const {
  std::optional<BlockedBy> out;
  const auto is_longer = [&](const config::IpPrefix* prefix) {
    return prefix != nullptr && (!out || prefix->bits > out->prefix.bits);
  };
  if (const auto* found = longest_in(source, blocks_.entries()); is_longer(found))
    out = {*found, blocks_.entries().at(*found), {}, {}};
  if (const auto* found = longest_in(source, fleet_blocks_.entries()); is_longer(found))
    out = {*found, {}, {}, fleet_blocks_.entries().at(*found)};
  if (const auto* found = longest_in(source, offenders_.entries()); is_longer(found))
    out = {*found, {}, offenders_.entries().at(*found), {}};
  const auto in_file = [&](const config::IpPrefix& prefix) {
    const auto next = std::ranges::upper_bound(*file_, prefix);
    return next == file_->begin() ? nullptr : &*std::prev(next);
  };
  if (const auto* found = longest_of(source, in_file); is_longer(found)) out = {*found, {}, {}, {}};
  return out;
}

bool Sources::is_exempt(const config::IpPrefix& prefix) const {
  return std::ranges::any_of(config_.allow, [&](const config::IpPrefix& each) { return each.contains(prefix); });
}

std::vector<BlockedBy> Sources::what_blocks(const config::IpPrefix& prefix, size_t most) const {
  std::vector<BlockedBy> out;
  const auto touches = [&](const config::IpPrefix& each) { return each.contains(prefix) || prefix.contains(each); };
  for (const auto& [each, block] : blocks_.entries()) {
    if (touches(each)) out.push_back({each, block, {}, {}});
  }
  for (const auto& [each, block] : fleet_blocks_.entries()) {
    if (touches(each)) out.push_back({each, {}, {}, block});
  }
  for (const auto& [each, offender] : offenders_.entries()) {
    if (touches(each)) out.push_back({each, {}, offender, {}});
  }
  for (const config::IpPrefix& each : *file_) {
    if (touches(each)) out.push_back({each, {}, {}, {}});
  }
  const auto before = [&](const BlockedBy& a, const BlockedBy& b) {
    const bool a_holds = a.prefix.contains(prefix), b_holds = b.prefix.contains(prefix);
    if (a_holds != b_holds) return a_holds;
    return a_holds && a.prefix.bits != b.prefix.bits ? a.prefix.bits > b.prefix.bits : a.prefix < b.prefix;
  };
  out.resize(put_first(out, most, before));
  return out;
}

}  // namespace sluice::control
