#include "cuda/plan.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/error.hpp"

namespace steepest::cuda {

namespace {

size_t index(int64_t i) { return static_cast<size_t>(i); }
int64_t tiles_of(int64_t n) { return (n + tile_size - 1) / tile_size; }

DeviceGroup device_group(const Group& group) {
  DeviceGroup d{};
  std::copy(group.given.begin(), group.given.end(), d.given);
  d.decay = group.decay;
  d.one_minus_ema = group.one_minus_ema;
  d.rule = group.rule;
  d.maximize = group.maximize;
  return d;
}

template <class T>
T* at(void* memory, int64_t offset) {
  return static_cast<T*>(shifted(memory, offset));
}

// Blocks of a launch.
int grid(int64_t work, int resident) {
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(work, resident)));
}

}  // namespace

void Plan::add_group(const Group& group) {
  groups_.push_back(group);
  last_given_.push_back(group.given);
  placed_ = false;
}

void Plan::add_tensor(const Tensor& tensor, int64_t t, double scalar) {
  tensors_.push_back(tensor);
  clocks_.push_back({t, scalar});
  count(tensor);
  placed_ = false;
}

void Plan::count(const Tensor& tensor) {
  tiles_ += tiles_of(tensor.n);
  elements_ += tensor.n;
  empty_ += tensor.n == 0;
}

void Plan::truncate(int64_t groups, int64_t tensors) {
  groups_.erase(groups_.begin() + groups, groups_.end());
  last_given_.erase(last_given_.begin() + groups, last_given_.end());
  tensors_.erase(tensors_.begin() + tensors, tensors_.end());
  clocks_.erase(clocks_.begin() + tensors, clocks_.end());
  tiles_ = elements_ = empty_ = 0;
  for (const Tensor& tensor : tensors_) count(tensor);
}

Plan::Counted Plan::counted() const {
  return {static_cast<int64_t>(groups_.size()), size(), tiles_, empty_};
}

Plan::Layout Plan::layout(const Counted& n) {
  int64_t end = 0;
  const auto take = [&end](int64_t bytes) {
    const int64_t offset = end;
    end += (bytes + 63) / 64 * 64;
    return offset;
  };
  Layout l{};
  take(sizeof(Control));
  l.groups = take(n.groups * static_cast<int64_t>(sizeof(DeviceGroup)));
  l.last_given = take(n.groups * max_given * 8);
  l.entries = take(n.tensors * static_cast<int64_t>(sizeof(Entry)));
  l.clocks = take(2 * n.tensors * static_cast<int64_t>(sizeof(Clock)));
  l.grads = take(n.tensors > max_carried ? n.tensors * 8 : 0);
  l.tensor_of = take((n.tiles + n.empty) * 4);
  l.partial = take(n.tiles * 8);
  l.end = end;
  return l;
}

int64_t Plan::bytes_needed() const { return layout(counted()).end; }

int64_t Plan::bytes_needed(int64_t more_groups, const std::vector<int64_t>& more_sizes) const {
  Counted n = counted();
  n.groups += more_groups;
  for (const int64_t size : more_sizes) {
    ++n.tensors;
    n.tiles += tiles_of(size);
    n.empty += size == 0;
  }
  return layout(n).end;
}

// Entries, clocks and the tensor of each tile.
void Plan::fill_tiles(std::vector<char>& image) const {
  const Layout l = layout(counted());
  Entry* entries = at<Entry>(image.data(), l.entries);
  Clock* clocks = at<Clock>(image.data(), l.clocks);
  int32_t* tensor_of = at<int32_t>(image.data(), l.tensor_of);
  int64_t tile = 0, empty = tiles_;
  for (int64_t i = 0; i < size(); ++i) {
    const Tensor& t = tensors_[index(i)];
    int64_t& first = t.n == 0 ? empty : tile;
    Entry& e = entries[i];
    e.theta = t.theta;
    std::copy(t.states.begin(), t.states.end(), e.states);
    e.ema = t.ema;
    e.n = t.n;
    e.first_tile = first;
    e.group = t.group;
    e.dtype = t.dtype;
    clocks[i] = clocks[size() + i] = clocks_[index(i)];
    const int64_t n = std::max<int64_t>(tiles_of(t.n), 1);
    std::fill_n(tensor_of + first, n, static_cast<int32_t>(i));
    first += n;
  }
}

void Plan::check_place(Stream stream) const {
  const OnDevice on(device_);
  refuse_capture("a plan's table", stream);
}

void Plan::place(void* memory, Stream stream) {
  const OnDevice on(device_);
  check_place(stream);
  read_back(stream);
  const Layout l = layout(counted());
  std::vector<char> image(index(l.end));
  std::memcpy(image.data(), &control_, sizeof control_);
  const auto n_groups = static_cast<int64_t>(groups_.size());
  for (int i = 0; i < n_groups; ++i) {
    at<DeviceGroup>(image.data(), l.groups)[i] = device_group(groups_[index(i)]);
    const std::vector<double>& last = last_given_[index(i)];
    std::copy(last.begin(), last.end(), at<double>(image.data(), l.last_given) + i * max_given);
  }
  fill_tiles(image);
  copy_in(memory, image.data(), l.end, stream);
  Table& t = table_ = {};
  t.control = at<Control>(memory, 0);
  t.groups = at<DeviceGroup>(memory, l.groups);
  t.last_given = at<double>(memory, l.last_given);
  t.entries = at<Entry>(memory, l.entries);
  t.clocks = at<Clock>(memory, l.clocks);
  t.grads = at<void*>(memory, l.grads);
  t.tensor_of = at<int32_t>(memory, l.tensor_of);
  t.partial = at<double>(memory, l.partial);
  t.n_groups = n_groups;
  t.n_tensors = size();
  t.n_full_tiles = tiles_;
  t.n_tiles = tiles_ + empty_;
  t.a_tile_each = tiles_ == size() && empty_ == 0;
  t.keep = l.end <= cache_bytes() / 16;
  t.large = 2 * bytes_of_arrays() > cache_bytes();
  const auto kind = [&](const Tensor& tensor) {
    return kind_of(groups_[index(tensor.group)].rule, tensor.dtype);
  };
  kind_ = tensors_.empty() ? any_kind : kind(tensors_[0]);
  for (const Tensor& tensor : tensors_)
    if (kind(tensor) != kind_) kind_ = any_kind;
  share_out();
  measure_blocks_ = resident_measure_blocks();
  written_ = -1;
  changed_ = true;
  placed_ = true;
}

int64_t Plan::bytes_of_arrays() const {
  int64_t bytes = 0;
  for (const Tensor& t : tensors_) {
    const auto states = std::count_if(t.states.begin(), t.states.end(), [](void* p) { return p; });
    bytes += t.n * size_of(t.dtype) * (2 + states + (t.ema != nullptr));
  }
  return bytes;
}

// How tiles are shared out. A block takes one tile in a turn where tensors are long, and two where
// they are short. Where all are very short, of one kind, and so many that hardly a multiprocessor
// is left idle, it takes two for each of its eight warps.
void Plan::share_out() {
  const bool long_tensors = 2 * elements_ >= tiles_ * tile_size;
  blocks_ = resident_blocks(kind_, threads, long_tensors);
  if (long_tensors) return;
  int64_t longest = 0;
  for (const Tensor& tensor : tensors_) longest = std::max(longest, tensor.n);
  // On average. An H200 (132 multiprocessors) took 0.79 to 0.97 of the time for 1,000 tensors of
  // 300 or 500 and 500 of 100, but up to 1.3 for 300 of 500.
  const int64_t many = 7 * multiprocessors();
  const int64_t most = tiles_ > many ? 512 : 2 * tiles_ > many ? 128 : 0;
  if (elements_ <= most * tiles_ && longest <= 1024 && kind_ != any_kind) {
    table_.lanes = few_lanes;
    blocks_ = resident_blocks(kind_, few_lanes, false);
  }
  const int each = threads / table_.lanes;
  table_.full_slots = table_.last_slots = each;
  if (tiles_ >= 2 * each * blocks_) {
    table_.full_slots = 2 * each;
    // The last three rounds are of short turns: blocks take turns two rounds ahead, and so may be
    // that far apart.
    table_.full_turns =
        std::max<int64_t>(0, table_.n_tiles - 3 * each * blocks_) / table_.full_slots;
  }
  // The next step's blocks take the places of those that have ended. Not where tensors are long:
  // there is room beside their blocks at any time. Nor with a warp for each tile: folding constants
  // for so many tiles takes longer than the wait.
  if (table_.lanes == threads) table_.next_from = table_.full_turns;
}

void Plan::refuse_capture(const char* what, Stream stream) const {
  if (capturing(stream))
    throw Error(ErrorKind::value, std::string(what) +
                                      ": cannot be set or read while a CUDA graph is captured; do "
                                      "so before the capture or between replays");
}

void Plan::set_group(int i, const Group& group, Stream stream) {
  if (placed_) {
    const OnDevice on(device_);
    refuse_capture("hyperparameters", stream);
    const DeviceGroup d = device_group(group);
    changed_ = true;
    write(table_.groups + i, &d, sizeof d, stream);
  }
  groups_[index(i)] = group;
}

void Plan::set_lr(int i, double lr, Stream stream) {
  if (placed_) {
    const OnDevice on(device_);
    refuse_capture("lr", stream);
    changed_ = true;
    write(table_.groups[0].given + i * int64_t{sizeof(DeviceGroup) / 8}, &lr, sizeof lr, stream);
  }
  groups_[index(i)].given[0] = lr;
}

// Writes the pointers that do not fit into a launch's arguments. A graph that is captured has to
// write its own at each replay, and so the host no longer knows what the table holds after one.
void Plan::write_gradients(bool captured, Stream stream) {
  if (written_ == gradient_changes_ && !captured && !captured_) return;
  std::vector<void*> grads;
  for (const Tensor& tensor : tensors_) grads.push_back(tensor.grad);
  write(table_.grads, grads.data(), size() * 8, stream);
  written_ = gradient_changes_;
}

StepArgs Plan::arguments(const StepOptions& options, bool captured, Stream stream) {
  StepArgs a;
  a.table = table_;
  a.grad_scale = options.grad_scale;
  a.max_norm = options.max_norm;
  a.measured = options.clip || options.nonfinite != Nonfinite::propagate;
  a.clip = options.clip;
  a.nonfinite = options.nonfinite;
  a.zero_grad = options.zero_grad;
  a.odd = int32_t(calls_ % 2);
  a.early =
      !a.measured && !captured && !changed_ && stream == last_stream_ && table_.next_from < never;
  a.carried = size() <= max_carried;
  if (a.carried)
    for (int64_t i = 0; i < size(); ++i) a.grads[i] = tensors_[index(i)].grad;
  else
    write_gradients(captured, stream);
  captured_ |= captured;
  return a;
}

int64_t Plan::step(const StepOptions& options, Stream stream) {
  const OnDevice on(device_);
  const bool raise = options.nonfinite == Nonfinite::raise;
  if (raise) refuse_capture("nonfinite='raise'", stream);
  const bool captured = last_was_captured_ = capturing(stream);
  const StepArgs args = arguments(options, captured, stream);
  if (args.measured) {
    launch_measure(args, grid((tiles_ + tiles_at_once - 1) / tiles_at_once, measure_blocks_),
                   stream);
  }
  if (raise) {
    const int64_t bad = control(stream).bad;
    if (bad >= 0) return bad;
  }
  launch_update(kind_, args, grid(turns(), blocks_), stream);
  if (!captured) {  // a captured step has not run, so what was written before it may be under way
    changed_ = false;
    last_stream_ = stream;
  }
  ++calls_;
  return -1;
}

Control Plan::control(Stream stream) {
  const OnDevice on(device_);
  refuse_capture("counts and norms", stream);
  copy_out(&control_, table_.control, sizeof control_, stream);
  return control_;
}

// Brings the host's copies of clocks and hyperparameters up to date.
void Plan::read_back(Stream stream) {
  if (!table_.control) return;
  const OnDevice on(device_);
  control(stream);
  const int64_t n = table_.n_tensors;
  copy_out(clocks_.data(), table_.clocks + control_.step_count % 2 * n,
           n * static_cast<int64_t>(sizeof(Clock)), stream);
  for (int i = 0; i < table_.n_groups; ++i)
    copy_out(last_given_[index(i)].data(), table_.last_given + i * max_given,
             static_cast<int64_t>(last_given_[index(i)].size()) * 8, stream);
}

Counts Plan::counts(Stream stream) {
  if (table_.control) control(stream);
  return {control_.step_count, control_.skipped};
}

double Plan::grad_norm(Stream stream) {
  if (table_.control) control(stream);
  return control_.grad_norm;
}

const std::vector<Clock>& Plan::clocks(Stream stream) {
  read_back(stream);
  return clocks_;
}

const std::vector<std::vector<double>>& Plan::given_of_last_step(Stream stream) {
  read_back(stream);
  return last_given_;
}

int64_t Plan::calls(Stream stream) {
  if (!captured_) return calls_;
  const Counts now = counts(stream);
  return now.step_count + now.skipped;
}

void Plan::restore(const std::vector<int64_t>& steps, const std::vector<double>& scalars,
                   int64_t step_count, int64_t skipped, Stream stream) {
  read_back(stream);
  control_.step_count = step_count;
  control_.skipped = skipped;
  calls_ = step_count + skipped;
  for (int64_t i = 0; i < size(); ++i) clocks_[index(i)] = {steps[index(i)], scalars[index(i)]};
  if (!placed_) return;
  const OnDevice on(device_);
  changed_ = true;
  copy_in(table_.control, &control_, sizeof control_, stream);
  for (int row = 0; row < 2; ++row)
    copy_in(table_.clocks + row * size(), clocks_.data(),
            size() * static_cast<int64_t>(sizeof(Clock)), stream);
}

void Plan::remember(Stream stream) {
  for (size_t i = 0; i < groups_.size(); ++i) last_given_[i] = groups_[i].given;
  if (!placed_) return;
  const OnDevice on(device_);
  for (int i = 0; i < table_.n_groups; ++i)
    copy_in(table_.last_given + i * max_given, last_given_[index(i)].data(),
            static_cast<int64_t>(last_given_[index(i)].size()) * 8, stream);
}

}  // namespace steepest::cuda
