// What stands for many samples of one thing.
#pragma once

#include <vector>

namespace leat {

/// Of the middle one, or the mean of the two middle ones; 0 for none.
double median_of(std::vector<double> values);
/// The smallest value that 99 % of the values do not exceed; 0 for none.
double p99_of(std::vector<double> values);
/// 0 for none; the values are positive.
double geometric_mean_of(const std::vector<double>& values);

}  // namespace leat
