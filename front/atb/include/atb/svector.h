// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <exception>
#include <initializer_list>
#include <memory>
#include <ostream>
#include <stdexcept>

#pragma GCC visibility push(default)
namespace atb {

constexpr std::size_t MAX_SVECTOR_SIZE = 256;
constexpr std::size_t DEFAULT_SVECTOR_SIZE = 64;
constexpr bool CHECK_BOUND = true;

// What a vector throws that was asked to hold more than MAX_SVECTOR_SIZE elements.
struct MaxSizeExceeded : public std::exception {};

// A vector of at most MAX_SVECTOR_SIZE elements that can be made without a value and assigned.
template <class T>
class SVector {
 public:
  SVector() = default;
  SVector(std::initializer_list<T> list) { assign(list.begin(), list.size()); }
  explicit SVector(std::size_t size, const T& value = 0) {
    grow(size);
    std::fill_n(storage_.get(), size, value);
    size_ = size;
  }
  SVector(const SVector& other) { assign(other.data(), other.size_); }
  SVector& operator=(std::initializer_list<T> list) {
    assign(list.begin(), list.size());
    return *this;
  }
  SVector& operator=(const SVector& other) {
    if (this != &other) assign(other.data(), other.size_);
    return *this;
  }

  void push_back(const T& value) { insert(size_, value); }
  void insert(const std::size_t place, const T& value) {
    if (place > size_) throw std::out_of_range("SVector: place behind the end");
    const T copy = value;  // it may be an element of this vector
    grow(size_ + 1);
    std::copy_backward(begin() + place, end(), end() + 1);
    storage_[place] = copy;
    ++size_;
  }
  void resize(std::size_t size) {
    grow(size);
    for (std::size_t i = size_; i < size; ++i) storage_[i] = T();
    size_ = size;
  }
  void reserve(std::size_t size) { grow(size); }
  void clear() noexcept { size_ = 0; }

  T* begin() noexcept { return storage_.get(); }
  const T* begin() const noexcept { return storage_.get(); }
  T* end() noexcept { return storage_.get() + size_; }
  const T* end() const noexcept { return storage_.get() + size_; }
  T* data() noexcept { return storage_.get(); }
  const T* data() const noexcept { return storage_.get(); }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  T& operator[](std::size_t i) { return at(i); }
  const T& operator[](std::size_t i) const { return at(i); }
  T& at(std::size_t i) {
    if (i >= size_) throw std::out_of_range("SVector: index behind the end");
    return storage_[i];
  }
  const T& at(std::size_t i) const {
    if (i >= size_) throw std::out_of_range("SVector: index behind the end");
    return storage_[i];
  }

  bool operator==(const SVector& other) const {
    return size_ == other.size_ && std::equal(begin(), end(), other.begin());
  }
  bool operator!=(const SVector& other) const { return !(*this == other); }
  bool operator<(const SVector& other) const {
    return std::lexicographical_compare(begin(), end(), other.begin(), other.end());
  }

 private:
  void grow(std::size_t wanted) {
    if (wanted > MAX_SVECTOR_SIZE) throw MaxSizeExceeded();
    if (wanted <= capacity_) return;
    const std::size_t capacity = std::min(MAX_SVECTOR_SIZE, std::max(wanted, 2 * capacity_));
    std::unique_ptr<T[]> larger(new T[capacity]());
    std::copy(begin(), end(), larger.get());
    storage_ = std::move(larger);
    capacity_ = capacity;
  }
  void assign(const T* first, std::size_t size) {
    grow(size);
    if (size > 0) std::copy(first, first + size, storage_.get());
    size_ = size;
  }

  std::unique_ptr<T[]> storage_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

template <class T>
std::ostream& operator<<(std::ostream& stream, const SVector<T>& vector) {
  for (std::size_t i = 0; i < vector.size(); ++i) {
    if (i > 0) stream << ",";
    stream << vector[i];
  }
  return stream;
}

}  // namespace atb
#pragma GCC visibility pop
