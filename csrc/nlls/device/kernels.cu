#include "linalg/device/launch.cuh"
// after the definitions that it instantiates
#include "nlls/device/instances.hpp"
